import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { Discrepancy_Kind, Discrepancy_State } from "#gen/shop/payments/v1/reconciliation.ts";
import { newId } from "#mesh/ids.ts";
import { abandonAfterMs } from "./operations.ts";
import { GRACE_MS } from "./reconciler.ts";
import { dieAfterwards, ordersOf, type PaymentsShop, passOn, startPayments } from "./testing/payments.ts";
import { behindOurBack, operatorOf } from "./testing/reconciling.ts";

let shop: PaymentsShop;
const { authorize, authorized, capture, captured, get, settle, types } = ordersOf(() => shop);
const { compare, discrepanciesOf, runNow } = operatorOf(() => shop);
const there = behindOurBack(() => shop);
const referenceOf = async (paymentId: string) => (await get(paymentId))?.providerReference ?? "";

beforeAll(async () => {
  shop = await startPayments();
});

afterAll(() => shop.close());

beforeEach(() => {
  shop.lose = passOn;
});

describe("a difference is repaired where that is certain to be right:", () => {
  test("a capture that happened, whose answer was lost", async () => {
    const paymentId = await authorized();
    shop.lose = dieAfterwards;
    await capture(paymentId);
    shop.lose = passOn;
    await compare();
    expect((await get(paymentId))?.state).toBe(Payment_State.CAPTURED);
    expect(await discrepanciesOf(paymentId)).toEqual([]);
  });

  test("an authorization that came about after it was given up is voided", async () => {
    const request = { orderId: newId("ord"), requestId: newId("req") };
    const { authorize: real } = shop.gateway;
    shop.gateway.authorize = async () => ({ kind: "unknown", because: "stuck on its way" });
    await authorize(request);
    shop.gateway.authorize = real;
    shop.clock.advance(abandonAfterMs(shop.deps.gateway));
    await settle(request);
    const [operation] = await shop.database.db.query<{ id: string }>(
      "select id from operations where request_id = $1",
      [request.requestId],
    );
    const reference = await there.authorize(request.orderId, operation?.id);
    expect(await compare()).toMatchObject({ repairedCount: 1, openCount: 0 });
    expect(await types(request.orderId)).toEqual(["authorization", "void"]);
    expect(await discrepanciesOf(reference)).toMatchObject([
      {
        ...{ kind: Discrepancy_Kind.STATE_DIFFERS, state: Discrepancy_State.REPAIRED },
        ...{ ourState: Payment_State.DECLINED, gatewayState: Payment_State.AUTHORIZED },
      },
    ]);
  });

  test("what was let go there is noted here", async () => {
    const paymentId = await authorized();
    await there.letGo(await referenceOf(paymentId));
    expect(await compare()).toMatchObject({ repairedCount: 1 });
    expect((await get(paymentId))?.state).toBe(Payment_State.VOIDED);
    expect(await discrepanciesOf(paymentId)).toMatchObject([{ state: Discrepancy_State.REPAIRED }]);
  });

  test("what was taken there of a payment that was let go is given back", async () => {
    const orderId = newId("ord");
    const paymentId = await authorized({ orderId });
    await there.capture(await referenceOf(paymentId));
    await shop.database.db.query("update payments set state = 'VOIDED' where id = $1", [paymentId]);
    const { totals, ...done } = await compare();
    expect(done).toMatchObject({ repairedCount: 1, openCount: 0 });
    expect(totals[0]).toMatchObject({ unexplainedMinorUnits: 0n });
    expect(await types(orderId)).toEqual(["authorization", "capture", "refund"]);
    // The list tells of the refund now, which the record that was read has in it already, and cannot be read again yet.
    const { find } = shop.deps.gateway;
    shop.gateway.find = async () => ({ kind: "unknown", because: "no answer" });
    const next = (await runNow()).totals[0];
    shop.gateway.find = find;
    expect(next).toMatchObject({ underWayMinorUnits: 0n, unexplainedMinorUnits: 0n });
    expect(next?.gatewayMinorUnits).toBe(next?.paymentsMinorUnits);
  });
});

describe("a difference is reported where no rule is certain:", () => {
  test("money at the gateway that is not in our books, until it is gone there", async () => {
    const reference = await there.authorize("an order of nobody's");
    await there.capture(reference);
    const { totals, openCount } = await compare();
    expect(openCount).toBe(1);
    expect(totals[0]).toMatchObject({ underWayMinorUnits: -5_000n, unexplainedMinorUnits: 0n });
    const known = {
      ...{ kind: Discrepancy_Kind.MISSING_IN_BOOKS, paymentId: "", providerReference: reference },
      ...{ gatewayState: Payment_State.CAPTURED, gatewayMinorUnits: 5_000n },
    };
    expect(await discrepanciesOf(reference)).toMatchObject([{ ...known, state: Discrepancy_State.OPEN }]);
    await runNow();
    expect(await discrepanciesOf(reference)).toHaveLength(1);
    await there.refund(reference, 5_000n);
    expect(await runNow()).toMatchObject({ openCount: 0 });
    expect(await discrepanciesOf(reference)).toMatchObject([{ ...known, state: Discrepancy_State.RESOLVED }]);
  });

  test("money that was nobody's and turns out to be a payment's, as that payment's from then on", async () => {
    const reference = await there.authorize("an order of nobody's");
    await compare();
    const { db } = shop.database;
    const paymentId = await authorized();
    const set = (to: string, amount: bigint) =>
      db.query("update payments set authorization_reference = $2, amount = $3, update_time = $4 where id = $1", [
        paymentId,
        to,
        amount,
        shop.clock.now(),
      ]);
    const own = await referenceOf(paymentId);
    await set(reference, 5_001n);
    await runNow();
    expect(await discrepanciesOf(reference)).toMatchObject([
      { kind: Discrepancy_Kind.AMOUNT_DIFFERS, state: Discrepancy_State.OPEN, paymentId },
      { kind: Discrepancy_Kind.MISSING_IN_BOOKS, state: Discrepancy_State.RESOLVED, paymentId: "" },
    ]);
    await set(own, 5_000n);
    await there.letGo(reference);
    expect(await compare()).toMatchObject({ openCount: 0 });
  });

  test("a payment of which the gateway knows nothing, until our books are set right", async () => {
    const paymentId = await captured();
    const { db } = shop.database;
    const reference = await referenceOf(paymentId);
    const set = (to: string) =>
      db.query("update payments set authorization_reference = $2, update_time = $3 where id = $1", [
        paymentId,
        to,
        shop.clock.now(),
      ]);
    await set("auth_of_nobody");
    shop.clock.advance(GRACE_MS + 1);
    await runNow();
    expect(await compare()).toMatchObject({ openCount: 2 });
    expect(await discrepanciesOf(paymentId)).toMatchObject([
      { kind: Discrepancy_Kind.MISSING_AT_GATEWAY, state: Discrepancy_State.OPEN, ourMinorUnits: 5_000n },
    ]);
    // The gateway's side of it has no payment now.
    expect(await discrepanciesOf(reference)).toMatchObject([{ kind: Discrepancy_Kind.MISSING_IN_BOOKS }]);
    await set(reference);
    expect(await runNow()).toMatchObject({ openCount: 0 });
    expect(await discrepanciesOf(paymentId)).toMatchObject([{ state: Discrepancy_State.RESOLVED }]);
  });

  test("another amount: a refund that somebody made at the gateway itself", async () => {
    const paymentId = await captured();
    await there.refund(await referenceOf(paymentId), 700n);
    expect(await compare()).toMatchObject({ differingCount: 1, openCount: 1 });
    expect(await discrepanciesOf(paymentId)).toMatchObject([
      { kind: Discrepancy_Kind.AMOUNT_DIFFERS, ourMinorUnits: 5_000n, gatewayMinorUnits: 4_300n },
    ]);
    // Out of the way of the tests to come.
    await shop.database.db.query("update payments set refunded = 700, update_time = $2 where id = $1", [
      paymentId,
      shop.clock.now(),
    ]);
    // The ledger was left as it was: its total says so.
    const { totals, openCount } = await runNow();
    expect(openCount).toBe(0);
    expect((totals[0]?.ledgerMinorUnits ?? 0n) - (totals[0]?.paymentsMinorUnits ?? 0n)).toBe(700n);
  });

  test("another state: captured there and not by us", async () => {
    const paymentId = await authorized();
    await there.capture(await referenceOf(paymentId));
    expect(await compare()).toMatchObject({ openCount: 1 });
    expect(await discrepanciesOf(paymentId)).toMatchObject([
      {
        ...{ kind: Discrepancy_Kind.STATE_DIFFERS, state: Discrepancy_State.OPEN },
        ...{ ourState: Payment_State.AUTHORIZED, gatewayState: Payment_State.CAPTURED },
      },
    ]);
  });
});
