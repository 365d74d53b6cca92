import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { implement } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import { startTestMesh } from "#testing/mesh.ts";
import type { Deps } from "./deps.ts";
import { simulatorGateway } from "./gateways/simulator-gateway.ts";
import { paymentHandlers } from "./handlers.ts";
import { abandonAfterMs } from "./operations.ts";
import { settlePending, voidAbandoned } from "./settler.ts";
import { API_KEY, dieAfterwards, eur, ordersOf, type PaymentsShop, passOn, startPayments } from "./testing/payments.ts";

let shop: PaymentsShop;
const { authorize, authorized, capture, letGo, list, refund, types } = ordersOf(() => shop);

beforeAll(async () => {
  shop = await startPayments();
});

afterAll(() => shop.close());

beforeEach(() => {
  shop.lose = passOn;
});

test("a slow gateway is waited for", async () => {
  await authorized({ token: "tok_slow" });
});

test("an unreliable gateway is asked again under the same key, and does everything once", async () => {
  for (let round = 0; round < 6; round += 1) {
    const orderId = newId("ord");
    shop.asked = 0;
    // The mesh itself repeats what the contract calls idempotent and the callee calls UNAVAILABLE.
    const paymentId = await authorized({ orderId, token: "tok_unreliable" });
    expect(await capture(paymentId)).toMatchObject({ ok: true });
    expect(shop.asked).toBe(4);
    expect(await types(orderId)).toEqual(["authorization", "capture"]);
  }
});

test("a process that ended after the effect finds it again, and does it no second time", async () => {
  const [orderId, requestId] = [newId("ord"), newId("req")];
  shop.lose = dieAfterwards;
  expect(await authorize({ orderId, requestId })).toMatchObject({ ok: false, error: { code: "INTERNAL" } });
  shop.lose = passOn;
  const paymentId = await authorized({ orderId, requestId });
  const before = await shop.books();
  for (const act of [(id: string) => capture(paymentId, id), (id: string) => refund(paymentId, 500n, id)]) {
    const id = newId("req");
    shop.lose = dieAfterwards;
    expect(await act(id)).toMatchObject({ ok: false, error: { code: "INTERNAL" } });
    shop.lose = passOn;
    expect(await act(id)).toMatchObject({ ok: true });
  }
  expect(await types(orderId)).toEqual(["authorization", "capture", "refund"]);
  expect((await shop.books()).owed - before.owed).toBe(4_500n);
});

test("the settler writes down what nobody asks for again", async () => {
  const orderId = newId("ord");
  shop.lose = dieAfterwards;
  await authorize({ orderId });
  shop.lose = passOn;
  shop.clock.advance(15_001);
  expect(await settlePending(shop.deps, new AbortController().signal)).toBeGreaterThan(0);
  const { payments: found } = await list(orderId);
  expect(found).toMatchObject([{ state: Payment_State.AUTHORIZED }]);
});

test("letting go settles an authorization first, and a capture under way is not overtaken", async () => {
  const orderId = newId("ord");
  shop.lose = dieAfterwards;
  await authorize({ orderId });
  shop.lose = passOn;
  const { payments: found } = await list(orderId);
  const paymentId = found[0]?.id ?? "";
  expect(await letGo(paymentId)).toMatchObject({ ok: true, value: { payment: { state: Payment_State.VOIDED } } });
  expect(await types(orderId)).toEqual(["authorization", "void"]);

  const other = newId("ord");
  const second = await authorized({ orderId: other });
  shop.lose = dieAfterwards;
  await capture(second);
  shop.lose = passOn;
  expect(await letGo(second)).toMatchObject({
    ok: false,
    error: { reason: "STATE_CONFLICT", metadata: { state: "CAPTURED" } },
  });
  expect(await types(other)).toEqual(["authorization", "capture"]);
});

test("an authorization that never reached the gateway is given up, and voided should it turn up after all", async () => {
  const [orderId, requestId] = [newId("ord"), newId("req")];
  let late: (() => Promise<unknown>) | undefined;
  const real = shop.deps.gateway;
  const stuck: Deps = {
    ...shop.deps,
    gateway: {
      ...real,
      authorize: async (request) => {
        late = () => real.authorize(request);
        return { kind: "unknown", because: "the request is stuck on its way" };
      },
    },
  };
  const mesh = await startTestMesh({ payments: () => [implement(PaymentService, paymentHandlers(stuck))] });
  try {
    const client = mesh.mesh("orders").client(PaymentService);
    const request = { requestId, orderId, customerId: "usr_payer", amount: eur(700n), paymentToken: "tok_visa" };
    const call = () => mesh.mesh("orders").background({ name: "test", timeoutMs: 5_000 });
    expect(await client.try.authorizePayment(request, call())).toMatchObject({
      ok: false,
      error: { reason: "OUTCOME_UNKNOWN" },
    });
    const {
      payments: [payment],
    } = await client.listPayments({ orderId, pageSize: 0, pageToken: "" }, call());
    const release = () => client.try.voidPayment({ requestId: newId("req"), paymentId: payment?.id ?? "" }, call());
    expect(await release()).toMatchObject({ ok: false, error: { reason: "OUTCOME_UNKNOWN" } });
    shop.clock.advance(abandonAfterMs(shop.deps.gateway));
    expect(await release()).toMatchObject({
      ok: true,
      value: { payment: { state: Payment_State.DECLINED, declineCode: "abandoned" } },
    });
  } finally {
    await mesh.close();
  }
  await late?.();
  await voidAbandoned(shop.deps, new AbortController().signal);
  expect(await types(orderId)).toEqual(["authorization", "void"]);
});

test("a gateway that cannot be reached is told as such, quickly, and nothing is lost", async () => {
  const gateway = simulatorGateway({ url: "http://127.0.0.1:9", apiKey: API_KEY, webhookSecret: undefined });
  const mesh = await startTestMesh({
    payments: () => [implement(PaymentService, paymentHandlers({ ...shop.deps, gateway }))],
  });
  const [orderId, requestId] = [newId("ord"), newId("req")];
  try {
    const call = mesh.mesh("orders").background({ name: "test", timeoutMs: 4_000 });
    const request = { requestId, orderId, customerId: "usr_payer", amount: eur(5_000n), paymentToken: "tok_visa" };
    expect(await mesh.mesh("orders").client(PaymentService).try.authorizePayment(request, call)).toMatchObject({
      ok: false,
      error: { code: "UNAVAILABLE", reason: "OUTCOME_UNKNOWN" },
    });
  } finally {
    await mesh.close();
  }
  await authorized({ orderId, requestId });
  expect(await types(orderId)).toEqual(["authorization"]);
});

test("operations that stay open keep no other from being settled", async () => {
  const real = shop.deps.gateway;
  const stuck = new Set<string>();
  const deps: Deps = {
    ...shop.deps,
    gateway: {
      ...real,
      lookUp: async (asked) => (stuck.has(asked.key) ? { kind: "unknown", because: "stuck" } : real.lookUp(asked)),
    },
  };
  shop.lose = dieAfterwards;
  await Promise.all(Array.from({ length: 55 }, () => authorize()));
  const rows = await shop.database.db.query<{ id: string }>("select id from operations where state = 'PENDING'");
  for (const { id } of rows) stuck.add(id);
  shop.clock.advance(10);
  const orderId = newId("ord");
  await authorize({ orderId });
  shop.lose = passOn;
  shop.clock.advance(15_001);
  expect(await settlePending(deps, new AbortController().signal)).toBe(1);
  expect((await list(orderId)).payments).toMatchObject([{ state: Payment_State.AUTHORIZED }]);
});
