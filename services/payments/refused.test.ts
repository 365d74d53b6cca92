import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { newId } from "#mesh/ids.ts";
import type { PaymentGateway } from "./payment-gateway.ts";
import { settlePending } from "./settler.ts";
import { elsewhere, eur, gate, ordersOf, type PaymentsShop, passOn, startPayments } from "./testing/payments.ts";

let shop: PaymentsShop;
const { authorized, captured, get, refund, types } = ordersOf(() => shop);

beforeAll(async () => {
  shop = await startPayments();
});

afterAll(() => shop.close());

beforeEach(() => {
  shop.lose = passOn;
});

type RefundKeys = { readonly gateway: PaymentGateway; readonly keys: string[] };

/** A gateway that does with a refund what `answer` says for its key, and notes the key. */
function refunding(answer: (key: string, real: () => Answered) => Answered): RefundKeys {
  const keys: string[] = [];
  const real = shop.deps.gateway;
  const gateway: PaymentGateway = {
    ...real,
    refund: (request) => {
      keys.push(request.key);
      return answer(request.key, () => real.refund(request));
    },
  };
  return { gateway, keys };
}

type Answered = ReturnType<PaymentGateway["refund"]>;

const refusal = { kind: "refused", code: "not_now", status: undefined } as const;
const refuse = async (): Answered => refusal;
const isFirst = (key: string): boolean => !key.includes(":");
const refused = { ok: false, error: { code: "FAILED_PRECONDITION", reason: "STATE_CONFLICT" } };

/** A payment of which a refund was refused under the first key. */
async function withRefusedRefund(): Promise<{ orderId: string; paymentId: string; requestId: string }> {
  const [orderId, requestId] = [newId("ord"), newId("req")];
  const paymentId = await captured({ orderId });
  await elsewhere(shop, { gateway: refunding(refuse).gateway }, async (orders) => {
    expect(await orders.refund(paymentId, 2_000n, requestId)).toMatchObject(refused);
  });
  return { orderId, paymentId, requestId };
}

const expectOneRefund = async ({ orderId, paymentId }: { orderId: string; paymentId: string }): Promise<void> => {
  expect(await types(orderId)).toEqual(["authorization", "capture", "refund"]);
  expect((await get(paymentId))?.refunded).toEqual(eur(2_000n));
};

test("a refund that was refused is done when it is asked for again, once, under another key", async () => {
  const given = await withRefusedRefund();
  const { gateway, keys } = refunding((_key, real) => real());
  const before = await shop.books();
  await elsewhere(shop, { gateway }, async (orders) => {
    const first = await orders.refund(given.paymentId, 2_000n, given.requestId);
    expect(first).toMatchObject({ ok: true, value: { refund: { amount: eur(2_000n) } } });
    expect(await orders.refund(given.paymentId, 2_000n, given.requestId)).toEqual(first);
    expect(keys).toEqual([`${first.ok ? first.value.refund?.id : ""}:2`]);
  });
  await expectOneRefund(given);
  expect(before.owed - (await shop.books()).owed).toBe(2_000n);
});

test("a refund that was refused and is asked for by many at once is done once", async () => {
  const given = await withRefusedRefund();
  const results = await Promise.all(Array.from({ length: 10 }, () => refund(given.paymentId, 2_000n, given.requestId)));
  expect(results.every(({ ok }) => ok)).toBe(true);
  await expectOneRefund(given);
});

test("a refund that is refused again and again gets a key for each time it is asked", async () => {
  const given = await withRefusedRefund();
  const { gateway, keys } = refunding(refuse);
  await elsewhere(shop, { gateway }, async (orders) => {
    for (let time = 0; time < 2; time += 1)
      expect(await orders.refund(given.paymentId, 2_000n, given.requestId)).toMatchObject(refused);
  });
  expect(keys.map((key) => key.split(":")[1])).toEqual(["2", "3"]);
  await refund(given.paymentId, 2_000n, given.requestId);
  await expectOneRefund(given);
});

test.each([
  ["before the gateway heard of it", async () => {}],
  ["after the gateway did it", async (real: () => Answered) => void (await real())],
])("a process that ends %s leaves the second key to the settler", async (_when, act) => {
  const given = await withRefusedRefund();
  const ending = refunding(async (_key, real) => {
    await act(real);
    throw new Error("the process ended here");
  });
  await elsewhere(shop, { gateway: ending.gateway }, async (orders) => {
    expect(await orders.refund(given.paymentId, 2_000n, given.requestId)).toMatchObject({ ok: false });
  });
  shop.clock.advance(15_001);
  const settling = refunding((_key, real) => real());
  await settlePending({ ...shop.deps, gateway: settling.gateway }, new AbortController().signal);
  expect(settling.keys).toEqual([ending.keys[0]]);
  await expectOneRefund(given);
});

test("while nobody knows what the first key did, no other is tried", async () => {
  const [orderId, requestId] = [newId("ord"), newId("req")];
  const paymentId = await captured({ orderId });
  const { gateway, keys } = refunding(async (_key, real) => {
    await real();
    return { kind: "unknown", because: "no answer" };
  });
  await elsewhere(shop, { gateway }, async (orders) => {
    expect(await orders.refund(paymentId, 2_000n, requestId)).toMatchObject({
      ok: false,
      error: { reason: "OUTCOME_UNKNOWN" },
    });
  });
  expect(new Set(keys).size).toBe(1);
  await refund(paymentId, 2_000n, requestId);
  await expectOneRefund({ orderId, paymentId });
});

test("a refusal that comes late says nothing about a later key", async () => {
  const [orderId, requestId] = [newId("ord"), newId("req")];
  const paymentId = await captured({ orderId });
  const [late, second] = [gate(), gate()];
  let firstKeys = 0;
  const { gateway, keys } = refunding(async (key, real) => {
    if (isFirst(key)) {
      firstKeys += 1;
      // Of two copies, one hears of the refusal at once and the other much later.
      if (firstKeys === 1) await late.opened;
      return refusal;
    }
    await second.opened;
    return real();
  });
  await elsewhere(shop, { gateway }, async (orders) => {
    const zombie = orders.refund(paymentId, 2_000n, requestId);
    await expect.poll(() => firstKeys).toBe(1);
    expect(await orders.refund(paymentId, 2_000n, requestId)).toMatchObject(refused);
    const again = orders.refund(paymentId, 2_000n, requestId);
    await expect.poll(() => keys.some((key) => !isFirst(key))).toBe(true);
    late.open();
    // Told of the refusal, the late one finds the second key in use, and asks under it too.
    await expect.poll(() => keys.filter((key) => !isFirst(key)).length).toBe(2);
    second.open();
    expect(await again).toMatchObject({ ok: true });
    expect(await zombie).toMatchObject({ ok: true });
  });
  await expectOneRefund({ orderId, paymentId });
});

test("letting go what has lapsed at the gateway is as wished, though the gateway refuses it", async () => {
  const paymentId = await authorized();
  const reference = (await get(paymentId))?.providerReference ?? "";
  const now = shop.clock.now();
  await shop.deps.gateway.void({ key: newId("voi"), firstAskedTime: now, authorizationReference: reference });
  const { letGo } = ordersOf(() => shop);
  expect(await letGo(paymentId)).toMatchObject({ ok: true });
});
