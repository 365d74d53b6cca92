import { pino } from "pino";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { Discrepancy_Kind } from "#gen/shop/payments/v1/reconciliation.ts";
import { implement } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { type FakeClock, fakeClock } from "#testing/clock.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import type { Deps } from "./deps.ts";
import { simulatorGateway } from "./gateways/simulator-gateway.ts";
import { stripeGateway } from "./gateways/stripe-gateway.ts";
import { paymentHandlers } from "./handlers.ts";
import { settlePending } from "./settler.ts";
import { type FakeStripe, startFakeStripe } from "./testing/fake-stripe/fake-stripe.ts";
import { eur, ordersOf } from "./testing/payments.ts";
import { operatorOf } from "./testing/reconciling.ts";

// Payments as a whole over Stripe's endpoints: contract, handlers, PostgreSQL, the official client, HTTP.

const TOKEN = "pm_card_visa";
const lines: string[] = [];
let clock: FakeClock;
let stripe: FakeStripe;
let database: TestDatabase;
let mesh: TestMesh;
let deps: Deps;

const { compare, discrepanciesOf } = operatorOf(() => ({ mesh, clock }));
const { authorize, capture, get, letGo, list, refund } = ordersOf(() => ({ mesh, movements: async () => [] }));

beforeAll(async () => {
  clock = fakeClock();
  stripe = await startFakeStripe(clock);
  database = await testDatabase(new URL("./migrations/", import.meta.url));
  const log = pino({ level: "trace" }, { write: (line) => void lines.push(line) });
  deps = { db: database.db, clock, newId, gateway: stripeGateway(stripe, clock), log, currencyCode: "EUR" };
  mesh = await startTestMesh({ payments: () => [implement(PaymentService, paymentHandlers(deps))] });
});

afterAll(async () => {
  await mesh.close();
  await database.close();
  await stripe.close();
});

// Whatever the test was about.
afterEach(async () => {
  const written = [...(await allRows(database.db)), ...lines, ...mesh.logs.map((line) => JSON.stringify(line))].join(
    "\n",
  );
  expect(written).toContain("ord_");
  for (const secret of ["pm_card", stripe.apiKey, stripe.webhookSecret, "_secret_"])
    expect(written).not.toContain(secret);
});

async function authorized(orderId = newId("ord")): Promise<string> {
  const result = await authorize({ orderId, token: TOKEN });
  if (!result.ok) throw result.error;
  return result.value.payment?.id ?? "";
}

const webhook = (type: string, id: string) => {
  const { signature, body } = stripe.webhook({
    ...{ id: newId("evt"), object: "event", type },
    data: { object: { object: "payment_intent", id, client_secret: `${id}_secret_x` } },
  });
  const gateway = mesh.mesh("gateway").client(PaymentService);
  return gateway.try.handleWebhook({ provider: "stripe", signature, body: Buffer.from(body) }, mesh.call());
};

test("money is set aside, taken, and given back in part, and the books say so", async () => {
  const paymentId = await authorized();
  expect(await capture(paymentId)).toMatchObject({ ok: true });
  expect(await refund(paymentId, 2_000n)).toMatchObject({ ok: true, value: { refund: { amount: eur(2_000n) } } });
  const payment = await get(paymentId);
  expect(payment).toMatchObject({
    state: Payment_State.CAPTURED,
    provider: "stripe",
    captured: eur(5_000n),
    refunded: eur(2_000n),
  });
  expect(await deps.gateway.find(payment?.providerReference ?? "")).toMatchObject({
    value: { captured: 5_000n, refunded: 2_000n, ourReference: payment?.orderId },
  });
  const rows = await database.db.query(
    "select l.account, l.debit, l.credit from ledger_lines l join operations o on o.id = l.operation_id where o.payment_id = $1 order by 1, 2",
    [paymentId],
  );
  expect(rows).toEqual([
    { account: "gateway_receivable", debit: 0n, credit: 2_000n },
    { account: "gateway_receivable", debit: 5_000n, credit: 0n },
    { account: "refunds", debit: 2_000n, credit: 0n },
    { account: "sales", debit: 0n, credit: 5_000n },
  ]);
});

test("an answer that is lost costs a question, and nothing twice", async () => {
  const [orderId, requestId] = [newId("ord"), newId("req")];
  // The mesh itself asks again, with the same request_id.
  stripe.trouble("cut after", "cut after");
  expect(await authorize({ orderId, requestId, token: TOKEN })).toMatchObject({ ok: true });
  const [payment] = (await list(orderId)).payments;
  stripe.trouble("500 after effect");
  expect(await capture(payment?.id ?? "")).toMatchObject({ ok: true });
  stripe.trouble("cut after", "cut before");
  expect(await refund(payment?.id ?? "", 700n)).toMatchObject({ ok: true });
  const ofOrder = [...stripe.account.intents.values()].filter(
    ({ metadata }) => metadata.shopmesh_reference === orderId,
  );
  expect(ofOrder).toHaveLength(1);
  expect(await deps.gateway.find(ofOrder[0]?.id ?? "")).toMatchObject({ value: { captured: 5_000n, refunded: 700n } });
});

test("an authorization whose token is lost is found by its key", async () => {
  const [orderId, requestId] = [newId("ord"), newId("req")];
  stripe.trouble("cut after", "cut after", "cut after", "cut after", "cut after", "cut after");
  expect(await authorize({ orderId, requestId, token: TOKEN })).toMatchObject({ error: { reason: "OUTCOME_UNKNOWN" } });
  stripe.trouble();
  clock.advance(15_001);
  expect(await settlePending(deps, new AbortController().signal)).toBe(1);
  expect((await list(orderId)).payments).toMatchObject([{ state: Payment_State.AUTHORIZED }]);
});

test("a hold that ends at Stripe ends here, by its webhook", async () => {
  const paymentId = await authorized();
  const reference = (await get(paymentId))?.providerReference ?? "";
  stripe.expire(reference);
  expect(await webhook("payment_intent.canceled", reference)).toMatchObject({ ok: true, value: { first: true } });
  expect((await get(paymentId))?.state).toBe(Payment_State.EXPIRED);
});

test("the books are compared with Stripe's own, and a refund that somebody made there by hand is found", async () => {
  const paymentId = await authorized();
  expect(await capture(paymentId)).toMatchObject({ ok: true });
  const reference = (await get(paymentId))?.providerReference ?? "";
  clock.advance(60_000);
  expect(await compare()).toMatchObject({ provider: "stripe", complete: true, openCount: 0, repairedCount: 0 });
  const found = await deps.gateway.find(reference);
  const captureReference = found.kind === "ok" ? (found.value.captureReference ?? "") : "";
  const byHand = { key: "by-hand", firstAskedTime: clock.now(), captureReference, amount: 100n, currencyCode: "EUR" };
  expect(await deps.gateway.refund(byHand)).toMatchObject({ kind: "ok" });
  clock.advance(60_000);
  expect(await compare()).toMatchObject({ openCount: 1 });
  expect(await discrepanciesOf(paymentId)).toMatchObject([{ kind: Discrepancy_Kind.AMOUNT_DIFFERS }]);
});

test.each([
  ["pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"],
  ["pm_card_authenticationRequired", "authentication_required"],
  ["pm_card_of_nobody", "invalid_token"],
])("%s is declined, and leaves the order free for another card", async (token, declineCode) => {
  const orderId = newId("ord");
  expect(await authorize({ orderId, token })).toMatchObject({
    error: { reason: "PAYMENT_DECLINED", metadata: { decline_code: declineCode } },
  });
  await authorized(orderId);
});

test("a payment that was made with another gateway is left alone, and says so", async () => {
  const [held, taken] = [await authorized(), await authorized()];
  expect(await capture(taken)).toMatchObject({ ok: true });
  await database.db.query("update payments set provider = 'simulator' where id = any($1)", [[held, taken]]);
  const before = stripe.seen.length;
  const unknown = {
    ok: false,
    error: { code: "NOT_FOUND", reason: "PROVIDER_UNKNOWN", metadata: { provider: "simulator" } },
  };
  expect(await capture(held)).toMatchObject(unknown);
  expect(await letGo(held)).toMatchObject(unknown);
  expect(await refund(taken, 100n)).toMatchObject(unknown);
  expect(stripe.seen).toHaveLength(before);
  expect(await get(held)).toMatchObject({ state: Payment_State.AUTHORIZED, provider: "simulator" });
  // What was noted for the gateway before is for that one to do, when it is back.
  await database.db.query("update payments set provider = 'stripe' where id = $1", [held]);
  const gateway = simulatorGateway({ url: "http://127.0.0.1:9", apiKey: "none", webhookSecret: undefined });
  const other = await startTestMesh({
    payments: () => [implement(PaymentService, paymentHandlers({ ...deps, gateway }))],
  });
  const { letGo: letGoThere } = ordersOf(() => ({ mesh: other, movements: async () => [] }));
  expect(await letGoThere(held)).toMatchObject({ ok: false, error: { reason: "PROVIDER_UNKNOWN" } });
  await other.close();
  expect(await letGo(held)).toMatchObject({ ok: true });
});

async function allRows(db: Database): Promise<readonly string[]> {
  const tables = await db.query<{ name: string }>(
    "select quote_ident(table_name) as name from information_schema.tables where table_schema = 'public'",
  );
  expect(tables.length).toBeGreaterThan(3);
  const rows = await Promise.all(
    tables.map(({ name }) => db.query<{ row: string }>(`select t::text as row from ${name} t`)),
  );
  return rows.flat().map(({ row }) => row);
}
