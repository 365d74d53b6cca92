import { createHmac } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { implement } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { fakeClock } from "#testing/clock.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { type Simulator, startPaymentGatewaySimulator } from "../../simulators/payment-gateway/simulator.ts";
import type { Deps } from "./deps.ts";
import { paymentHandlers } from "./handlers.ts";
import { ABANDON_AFTER_MS } from "./operations.ts";
import type { PaymentGateway } from "./payment-gateway.ts";
import { settlePending, voidAbandoned } from "./settler.ts";
import { simulatorGateway } from "./simulator-gateway.ts";

const API_KEY = "test-key";
const WEBHOOK_SECRET = "whsec-test";
const log = pino({ level: "silent" });
const clock = fakeClock();
let database: TestDatabase;
let simulator: Simulator;
let dataDir: string;
let shop: TestMesh;
let deps: Deps;
/** How often the gateway was asked for a change. */
let asked = 0;
/** What the handlers reach the gateway through; a test may lose its answers. */
let lose: (answered: Promise<unknown>) => Promise<unknown> = (answered) => answered;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "shopmesh-payments-"));
  database = await testDatabase(new URL("./migrations/", import.meta.url));
  simulator = await startPaymentGatewaySimulator({ port: 0, dataDir, apiKey: API_KEY, slowMs: 200, log, clock });
  const real = simulatorGateway({ url: simulator.url, apiKey: API_KEY, webhookSecret: WEBHOOK_SECRET });
  deps = { db: database.db, clock, newId, gateway: losing(real), log, currencyCode: "EUR" };
  shop = await startTestMesh({ payments: () => [implement(PaymentService, paymentHandlers(deps))] });
});

beforeEach(() => {
  lose = (answered) => answered;
});

afterAll(async () => {
  await shop.close();
  await simulator.close();
  await database.close();
  await rm(dataDir, { recursive: true });
});

/** The same gateway, whose answers to changes pass through `lose` after they had their effect. */
function losing(real: PaymentGateway): PaymentGateway {
  const through = <T>(answered: Promise<T>): Promise<T> => {
    asked += 1;
    // `lose` gives the same answer, or none at all.
    return lose(answered) as Promise<T>;
  };
  return {
    ...real,
    authorize: (request) => through(real.authorize(request)),
    capture: (request) => through(real.capture(request)),
    void: (request) => through(real.void(request)),
    refund: (request) => through(real.refund(request)),
  };
}

/** Lets a change happen at the gateway, and the process end before it can write that down. */
const dieAfterwards = async (answered: Promise<unknown>): Promise<never> => {
  await answered;
  throw new Error("the process ended here");
};

const asOrders = (timeoutMs = 10_000): Call => shop.mesh("orders").background({ name: "test", timeoutMs });
const payments = () => shop.mesh("orders").client(PaymentService);
const eur = (minorUnits: bigint) => ({ currencyCode: "EUR", minorUnits });

interface Ask {
  readonly orderId?: string;
  readonly token?: string;
  readonly requestId?: string;
  readonly amount?: { currencyCode: string; minorUnits: bigint };
}
const authorize = ({
  orderId = newId("ord"),
  token = "tok_visa",
  requestId = newId("req"),
  amount = eur(5_000n),
}: Ask = {}) =>
  payments().try.authorizePayment(
    { requestId, orderId, customerId: "usr_payer", amount, paymentToken: token },
    asOrders(),
  );

async function authorized(ask: Ask = {}): Promise<string> {
  const result = await authorize(ask);
  if (!result.ok) throw result.error;
  return result.value.payment?.id ?? "";
}
async function captured(ask: Ask = {}): Promise<string> {
  const paymentId = await authorized(ask);
  const result = await capture(paymentId);
  if (!result.ok) throw result.error;
  return paymentId;
}
const capture = (paymentId: string, requestId = newId("req"), amount?: ReturnType<typeof eur>) =>
  payments().try.capturePayment({ requestId, paymentId, amount }, asOrders());
const letGo = (paymentId: string, requestId = newId("req")) =>
  payments().try.voidPayment({ requestId, paymentId }, asOrders());
const refund = (paymentId: string, minorUnits: bigint, requestId = newId("req")) =>
  payments().try.createRefund({ requestId, paymentId, amount: eur(minorUnits), note: "" }, asOrders());
const get = async (paymentId: string) => (await payments().getPayment({ paymentId }, asOrders())).payment;

interface Movement {
  readonly type: string;
  readonly reference: string;
  readonly amount: string;
}
/** What the gateway has in its own books for an order. */
async function atGateway(orderId: string): Promise<readonly Movement[]> {
  const movements: Movement[] = [];
  for (let after = ""; ; ) {
    const response = await fetch(`${simulator.url}/v1/transactions?limit=500&after=${after}`, {
      headers: { authorization: `Bearer ${API_KEY}` },
    });
    // The simulator's own tests hold it to this shape.
    const page = (await response.json()) as { transactions: Movement[]; has_more: boolean; next_after: string };
    movements.push(...page.transactions);
    if (!page.has_more) return movements.filter(({ reference }) => reference === orderId);
    after = page.next_after;
  }
}
const types = async (orderId: string) => (await atGateway(orderId)).map(({ type }) => type);

async function books(): Promise<{ debit: bigint; credit: bigint; owed: bigint }> {
  const mesh = shop.mesh("operator");
  const call = mesh.background({ name: "books", timeoutMs: 5_000 });
  const { balances } = await mesh.client(PaymentService).getLedgerBalances({ currencyCode: "EUR" }, call);
  const sum = (values: bigint[]): bigint => values.reduce((total, value) => total + value, 0n);
  const owed = balances.filter(({ account }) => account === "gateway_receivable");
  return {
    debit: sum(balances.map(({ debitMinorUnits }) => debitMinorUnits)),
    credit: sum(balances.map(({ creditMinorUnits }) => creditMinorUnits)),
    owed: sum(owed.map(({ debitMinorUnits, creditMinorUnits }) => debitMinorUnits - creditMinorUnits)),
  };
}

describe("a payment", () => {
  test("is authorized, captured, and given back in parts", async () => {
    const orderId = newId("ord");
    const before = await books();
    const paymentId = await captured({ orderId });
    expect(await refund(paymentId, 2_000n)).toMatchObject({ ok: true, value: { refund: { amount: eur(2_000n) } } });
    expect(await refund(paymentId, 3_000n)).toMatchObject({ ok: true });
    expect(await refund(paymentId, 1n)).toMatchObject({
      ok: false,
      error: { code: "FAILED_PRECONDITION", reason: "AMOUNT_TOO_LARGE", metadata: { limit_minor_units: "0" } },
    });
    expect(await get(paymentId)).toMatchObject({
      state: Payment_State.CAPTURED,
      captured: eur(5_000n),
      refunded: eur(5_000n),
    });
    expect(await types(orderId)).toEqual(["authorization", "capture", "refund", "refund"]);
    const after = await books();
    expect(after.debit).toBe(after.credit);
    expect(after.owed).toBe(before.owed);
    expect(after.debit - before.debit).toBe(10_000n);
  });

  test("is let go, and then cannot be captured", async () => {
    const paymentId = await authorized();
    expect(await letGo(paymentId)).toMatchObject({ ok: true, value: { payment: { state: Payment_State.VOIDED } } });
    expect(await letGo(paymentId)).toMatchObject({ ok: true });
    expect(await capture(paymentId)).toMatchObject({
      ok: false,
      error: { code: "FAILED_PRECONDITION", reason: "STATE_CONFLICT", metadata: { state: "VOIDED" } },
    });
  });

  test("that was captured cannot be let go", async () => {
    const paymentId = await captured();
    expect(await letGo(paymentId)).toMatchObject({ ok: false, error: { reason: "STATE_CONFLICT" } });
  });

  test.each([
    ["tok_declined", "card_declined"],
    ["tok_insufficient_funds", "insufficient_funds"],
    ["tok_of_nobody", "invalid_token"],
  ])("with %s is declined for good, and leaves the order free for another", async (token, declineCode) => {
    const [orderId, requestId] = [newId("ord"), newId("req")];
    for (let copy = 0; copy < 2; copy += 1) {
      expect(await authorize({ orderId, token, requestId })).toMatchObject({
        ok: false,
        error: { code: "FAILED_PRECONDITION", reason: "PAYMENT_DECLINED", metadata: { decline_code: declineCode } },
      });
    }
    await authorized({ orderId });
  });

  test("is one for an order, until it is let go", async () => {
    const orderId = newId("ord");
    const paymentId = await authorized({ orderId });
    expect(await authorize({ orderId })).toMatchObject({
      ok: false,
      error: { code: "FAILED_PRECONDITION", reason: "ORDER_HAS_PAYMENT", metadata: { payment_id: paymentId } },
    });
    await letGo(paymentId);
    await authorized({ orderId });
  });

  test("in another currency is refused, naming the shop's", async () => {
    expect(await authorize({ amount: { currencyCode: "USD", minorUnits: 1n } })).toMatchObject({
      ok: false,
      error: { code: "INVALID_ARGUMENT", reason: "CURRENCY_MISMATCH", metadata: { currency_code: "EUR" } },
    });
  });

  test.each([0n, -1n])("of %s is refused, naming the field", async (minorUnits) => {
    const result = await authorize({ amount: eur(minorUnits) });
    if (result.ok) throw new Error("it was admitted");
    expect(result.error.code).toBe("INVALID_ARGUMENT");
    expect(result.error.violations.some(({ field }) => field.startsWith("amount"))).toBe(true);
  });

  test("of the largest amount there is passes exactly", async () => {
    const amount = eur(2n ** 53n + 1n);
    const paymentId = await authorized({ amount });
    expect((await get(paymentId))?.amount).toEqual(amount);
  });

  test("is seen by its payer and by support, and by nobody else", async () => {
    const paymentId = await authorized();
    const client = shop.mesh("gateway").client(PaymentService);
    const see = (user: { id: string; roles?: string[] }) => client.try.getPayment({ paymentId }, shop.call({ user }));
    expect((await see({ id: "usr_payer" })).ok).toBe(true);
    expect((await see({ id: "usr_other", roles: ["support"] })).ok).toBe(true);
    expect(await see({ id: "usr_other" })).toMatchObject({
      ok: false,
      error: { code: "NOT_FOUND", reason: "PAYMENT_NOT_FOUND" },
    });
  });

  test("cannot be asked for from outside", async () => {
    const request = { requestId: newId("req"), paymentId: "pay_1", amount: undefined };
    const client = shop.mesh("gateway").client(PaymentService);
    expect(await client.try.capturePayment(request, shop.call({ user: { roles: ["admin"] } }))).toMatchObject({
      ok: false,
      error: { code: "PERMISSION_DENIED", reason: "NOT_ALLOWED" },
    });
  });

  test("is listed with the others of its order, page by page", async () => {
    const orderId = newId("ord");
    for (let at = 0; at < 3; at += 1) await letGo(await authorized({ orderId }));
    const ids: string[] = [];
    let pageToken = "";
    do {
      const page = await payments().listPayments({ orderId, pageSize: 2, pageToken }, asOrders());
      ids.push(...page.payments.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(ids).toHaveLength(3);
    expect(ids).toEqual(ids.toSorted().reverse());
  });
});

describe("once", () => {
  test("fifty copies of an authorization set money aside once", async () => {
    const [orderId, requestId] = [newId("ord"), newId("req")];
    const results = await Promise.all(Array.from({ length: 50 }, () => authorize({ orderId, requestId })));
    expect(new Set(results.map((result) => (result.ok ? result.value.payment?.id : result.error.reason))).size).toBe(1);
    expect(results[0]?.ok).toBe(true);
    expect(await types(orderId)).toEqual(["authorization"]);
  });

  test("fifty copies of a capture and of a refund are booked once", async () => {
    const orderId = newId("ord");
    const paymentId = await authorized({ orderId });
    const before = await books();
    const [captureId, refundId] = [newId("req"), newId("req")];
    const captures = await Promise.all(Array.from({ length: 50 }, () => capture(paymentId, captureId)));
    expect(captures.every(({ ok }) => ok)).toBe(true);
    const refunds = await Promise.all(Array.from({ length: 50 }, () => refund(paymentId, 1_000n, refundId)));
    expect(refunds.every(({ ok }) => ok)).toBe(true);
    expect(await types(orderId)).toEqual(["authorization", "capture", "refund"]);
    expect((await books()).owed - before.owed).toBe(4_000n);
  });

  test("an id that comes with another body is refused", async () => {
    const paymentId = await captured();
    const requestId = newId("req");
    await refund(paymentId, 1_000n, requestId);
    expect(await refund(paymentId, 2_000n, requestId)).toMatchObject({
      ok: false,
      error: { code: "INVALID_ARGUMENT", reason: "REQUEST_ID_REUSED" },
    });
    expect((await get(paymentId))?.refunded).toEqual(eur(1_000n));
  });

  test("a capture and a void at once end in exactly one of them", async () => {
    for (let round = 0; round < 8; round += 1) {
      const orderId = newId("ord");
      const paymentId = await authorized({ orderId });
      const [taken, released] = await Promise.all([capture(paymentId), letGo(paymentId)]);
      expect([taken.ok, released.ok].filter(Boolean)).toHaveLength(1);
      expect(await types(orderId)).toEqual(["authorization", taken.ok ? "capture" : "void"]);
    }
  });

  test("refunds at once give back no more than was captured", async () => {
    const orderId = newId("ord");
    const paymentId = await captured({ orderId });
    // Those that find another under way for too long are told to ask again; none may give back too much.
    await Promise.all(Array.from({ length: 8 }, () => refund(paymentId, 2_000n)));
    const back = (await atGateway(orderId)).filter(({ type }) => type === "refund");
    expect(back.length).toBeGreaterThan(0);
    expect(back.length).toBeLessThanOrEqual(2);
    expect((await get(paymentId))?.refunded).toEqual(eur(2_000n * BigInt(back.length)));
  });
});

describe("when the outcome is not known", () => {
  test("a slow gateway is waited for", async () => {
    await authorized({ token: "tok_slow" });
  });

  test("an unreliable gateway is asked again under the same key, and does everything once", async () => {
    for (let round = 0; round < 6; round += 1) {
      const orderId = newId("ord");
      asked = 0;
      // The mesh itself repeats what the contract calls idempotent and the callee calls UNAVAILABLE.
      const paymentId = await authorized({ orderId, token: "tok_unreliable" });
      expect(await capture(paymentId)).toMatchObject({ ok: true });
      expect(asked).toBe(4);
      expect(await types(orderId)).toEqual(["authorization", "capture"]);
    }
  });

  test("a process that ended after the effect finds it again, and does it no second time", async () => {
    const [orderId, requestId] = [newId("ord"), newId("req")];
    lose = dieAfterwards;
    expect(await authorize({ orderId, requestId })).toMatchObject({ ok: false, error: { code: "INTERNAL" } });
    lose = (answered) => answered;
    const paymentId = await authorized({ orderId, requestId });
    const before = await books();
    for (const act of [(id: string) => capture(paymentId, id), (id: string) => refund(paymentId, 500n, id)]) {
      const id = newId("req");
      lose = dieAfterwards;
      expect(await act(id)).toMatchObject({ ok: false, error: { code: "INTERNAL" } });
      lose = (answered) => answered;
      expect(await act(id)).toMatchObject({ ok: true });
    }
    expect(await types(orderId)).toEqual(["authorization", "capture", "refund"]);
    expect((await books()).owed - before.owed).toBe(4_500n);
  });

  test("the settler writes down what nobody asks for again", async () => {
    const orderId = newId("ord");
    lose = dieAfterwards;
    await authorize({ orderId });
    lose = (answered) => answered;
    clock.advance(15_001);
    expect(await settlePending(deps, new AbortController().signal)).toBeGreaterThan(0);
    const { payments: found } = await payments().listPayments({ orderId, pageSize: 0, pageToken: "" }, asOrders());
    expect(found).toMatchObject([{ state: Payment_State.AUTHORIZED }]);
  });

  test("letting go settles an authorization first, and a capture under way is not overtaken", async () => {
    const orderId = newId("ord");
    lose = dieAfterwards;
    await authorize({ orderId });
    lose = (answered) => answered;
    const { payments: found } = await payments().listPayments({ orderId, pageSize: 0, pageToken: "" }, asOrders());
    const paymentId = found[0]?.id ?? "";
    expect(await letGo(paymentId)).toMatchObject({ ok: true, value: { payment: { state: Payment_State.VOIDED } } });
    expect(await types(orderId)).toEqual(["authorization", "void"]);

    const other = newId("ord");
    const second = await authorized({ orderId: other });
    lose = dieAfterwards;
    await capture(second);
    lose = (answered) => answered;
    expect(await letGo(second)).toMatchObject({
      ok: false,
      error: { reason: "STATE_CONFLICT", metadata: { state: "CAPTURED" } },
    });
    expect(await types(other)).toEqual(["authorization", "capture"]);
  });

  test("an authorization that never reached the gateway is given up, and voided should it turn up after all", async () => {
    const [orderId, requestId] = [newId("ord"), newId("req")];
    let late: (() => Promise<unknown>) | undefined;
    const real = deps.gateway;
    const stuck: Deps = {
      ...deps,
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
      clock.advance(ABANDON_AFTER_MS);
      expect(await release()).toMatchObject({
        ok: true,
        value: { payment: { state: Payment_State.DECLINED, declineCode: "abandoned" } },
      });
    } finally {
      await mesh.close();
    }
    await late?.();
    await voidAbandoned(deps, new AbortController().signal);
    expect(await types(orderId)).toEqual(["authorization", "void"]);
  });

  test("a gateway that cannot be reached is told as such, quickly, and nothing is lost", async () => {
    const gateway = simulatorGateway({ url: "http://127.0.0.1:9", apiKey: API_KEY, webhookSecret: undefined });
    const mesh = await startTestMesh({
      payments: () => [implement(PaymentService, paymentHandlers({ ...deps, gateway }))],
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
});

describe("a webhook", () => {
  const send = (body: object | string, options: { at?: Date; secret?: string; provider?: string } = {}) => {
    const bytes = Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
    const seconds = Math.floor((options.at ?? clock.now()).getTime() / 1_000);
    const digest = createHmac("sha256", options.secret ?? WEBHOOK_SECRET)
      .update(`${seconds}.`)
      .update(bytes)
      .digest("hex");
    return shop
      .mesh("gateway")
      .client(PaymentService)
      .try.handleWebhook(
        { provider: options.provider ?? "simulator", signature: `t=${seconds},v1=${digest}`, body: bytes },
        shop.call(),
      );
  };

  test("is taken in once, and brings the payment to the gateway's own record", async () => {
    const paymentId = await authorized();
    const reference = (await get(paymentId))?.providerReference ?? "";
    // Somebody lets it go at the gateway itself.
    await deps.gateway.void({ key: newId("voi"), authorizationReference: reference });
    const event = { id: newId("evt"), authorization_id: reference };
    expect(await send(event)).toMatchObject({ ok: true, value: { eventId: event.id, first: true } });
    expect(await send(event)).toMatchObject({ ok: true, value: { first: false } });
    expect((await get(paymentId))?.state).toBe(Payment_State.VOIDED);
  });

  test("with a wrong or an old signature is refused, and so is one of another gateway", async () => {
    const event = { id: newId("evt") };
    const refused = { ok: false, error: { code: "UNAUTHENTICATED", reason: "SIGNATURE_INVALID" } };
    expect(await send(event, { secret: "another" })).toMatchObject(refused);
    expect(await send(event, { at: new Date(clock.now().getTime() - 301_000) })).toMatchObject(refused);
    expect(await send(event, { provider: "nobody" })).toMatchObject({
      ok: false,
      error: { reason: "PROVIDER_UNKNOWN" },
    });
    expect(await send(event)).toMatchObject({ ok: true, value: { first: true } });
  });
});

describe("the ledger", () => {
  test("cannot be changed, nor made not to balance", async () => {
    const paymentId = await captured();
    const { db } = database;
    await expect(db.query("update ledger_lines set debit = debit + 1 where debit > 0")).rejects.toThrow(
      "only ever added",
    );
    await expect(db.query("delete from ledger_lines")).rejects.toThrow("only ever added");
    await expect(
      db.query(
        `insert into ledger_lines (operation_id, account, currency, debit, credit, create_time)
         select id, 'elsewhere', 'EUR', 1, 0, now() from operations where payment_id = $1 and kind = 'CAPTURE'`,
        [paymentId],
      ),
    ).rejects.toThrow("does not balance");
  });

  test("tells what the gateway owes, to the unit", async () => {
    const { owed, debit, credit } = await books();
    expect(debit).toBe(credit);
    const [sums] = await database.db.query<{ kept: bigint }>(
      "select sum(captured - refunded)::bigint as kept from payments",
    );
    expect(owed).toBe(sums?.kept);
  });
});

test("the payment token is in no table and no log line", async () => {
  const token = "tok_secret_of_the_card";
  await authorize({ token });
  for (const table of ["payments", "operations", "ledger_lines", "webhook_events", "once_requests"]) {
    const session = await database.db.session();
    const rows = await session.query<{ row: string }>(`select t::text as row from "${table}" t`);
    await session.close();
    expect(rows.map(({ row }) => row).join("\n")).not.toContain(token);
  }
  expect(JSON.stringify(shop.logs)).not.toContain(token);
});
