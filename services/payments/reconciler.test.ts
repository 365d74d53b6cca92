import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { newId } from "#mesh/ids.ts";
import { claimTurn, releaseTurn } from "./reconcile-store.ts";
import { reconcile } from "./reconciler.ts";
import { gate, ordersOf, type PaymentsShop, startPayments } from "./testing/payments.ts";
import { operatorOf } from "./testing/reconciling.ts";

let shop: PaymentsShop;
const { authorize, authorized, captured, get, letGo, refund, settle } = ordersOf(() => shop);
const { compare, discrepanciesOf, runNow, tryNow } = operatorOf(() => shop);
const referenceOf = async (paymentId: string) => (await get(paymentId))?.providerReference ?? "";
const { signal } = new AbortController();

beforeAll(async () => {
  shop = await startPayments();
});

afterAll(() => shop.close());

describe("a shop that is well", () => {
  test("has nothing to report, and totals that are the same by every book", async () => {
    const refundee = await captured();
    await refund(refundee, 1_200n);
    await captured();
    await authorized();
    await letGo(await authorized());
    await authorize({ token: "tok_declined" });
    await settle({ orderId: newId("ord"), requestId: newId("req") });
    const first = await runNow();
    expect(first).toMatchObject({ provider: "simulator", transactionCount: 8, openCount: 0, complete: true });
    const done = await compare();
    expect(done).toMatchObject({ transactionCount: 0, paymentCount: 6, differingCount: 0, repairedCount: 0 });
    expect(done).toMatchObject({ openCount: 0, underWayCount: 0 });
    const kept = 8_800n;
    expect(done.totals).toEqual([
      {
        currencyCode: "EUR",
        ...{ paymentsMinorUnits: kept, ledgerMinorUnits: kept, gatewayMinorUnits: kept },
        ...{ underWayMinorUnits: 0n, unexplainedMinorUnits: 0n },
      },
    ]);
    expect(done.totals[0]?.paymentsMinorUnits).toBe((await shop.books()).owed);
  });

  test("has nothing to report while it is busy, at whatever moment the books are compared", async () => {
    let isOver = false;
    const answers: Awaited<ReturnType<typeof runNow>>[] = [];
    const comparing = (async () => {
      while (!isOver) {
        answers.push(await runNow());
        shop.clock.advance(1_000);
      }
    })();
    const shopper = async (): Promise<void> => {
      for (let at = 0; at < 5; at += 1) {
        const paymentId = await captured();
        await refund(paymentId, 100n);
        await letGo(await authorized());
      }
    };
    await Promise.all(Array.from({ length: 4 }, shopper));
    isOver = true;
    await comparing;
    answers.push(await compare());
    expect(answers.length).toBeGreaterThan(2);
    for (const { openCount, differingCount, repairedCount, totals } of answers) {
      expect({ openCount, differingCount, repairedCount }).toEqual({
        openCount: 0,
        differingCount: 0,
        repairedCount: 0,
      });
      expect(totals.every(({ unexplainedMinorUnits }) => unexplainedMinorUnits === 0n)).toBe(true);
      expect(totals.every((one) => one.paymentsMinorUnits === one.ledgerMinorUnits)).toBe(true);
    }
    expect(answers.at(-1)).toMatchObject({ underWayCount: 0 });
  });

  test("is compared page by page, each transaction once", async () => {
    const { listTransactions } = shop.gateway;
    const cursors: (string | undefined)[] = [];
    shop.gateway.listTransactions = (after) => {
      cursors.push(after);
      return listTransactions(after);
    };
    await captured();
    expect(await runNow()).toMatchObject({ transactionCount: 2 });
    expect(await runNow()).toMatchObject({ transactionCount: 0 });
    shop.gateway.listTransactions = listTransactions;
    expect(cursors).toHaveLength(2);
    expect(Number(cursors[1]) - Number(cursors[0])).toBe(2);
  });
});

describe("comparing", () => {
  test("finds a total that no known difference explains", async () => {
    const before = (await compare()).totals[0]?.unexplainedMinorUnits;
    const paymentId = await captured();
    await compare();
    // A row changes behind everybody's back, and says nothing of it.
    await shop.database.db.query("update payments set captured = captured - 1 where id = $1", [paymentId]);
    const { totals } = await runNow();
    expect((totals[0]?.unexplainedMinorUnits ?? 0n) - (before ?? 0n)).toBe(-1n);
    await shop.database.db.query("update payments set captured = captured + 1 where id = $1", [paymentId]);
  });

  test("is done by one process at a time; a turn that was lost writes nothing more", async () => {
    const held = gate();
    const { listTransactions } = shop.gateway;
    shop.gateway.listTransactions = async (after) => {
      shop.gateway.listTransactions = listTransactions;
      await held.opened;
      return listTransactions(after);
    };
    await captured();
    const slow = reconcile(shop.deps, signal);
    await expect.poll(() => shop.gateway.listTransactions).toBe(listTransactions);
    expect(await reconcile(shop.deps, signal)).toBeUndefined();
    // The process stood still, and its time ran out.
    await shop.database.db.query("update reconciliations set lease_until = now()");
    expect(await reconcile(shop.deps, signal)).toMatchObject({ transactions: 2 });
    held.open();
    await expect(slow).rejects.toThrow("somebody else");
    expect(await compare()).toMatchObject({ underWayCount: 0, totals: [{ unexplainedMinorUnits: 0n }] });
  });

  test("by hand waits for the turn that another has, and says so when its time is over", async () => {
    const turn = await claimTurn(shop.deps.db, "simulator");
    if (turn === undefined) throw new Error("somebody has the turn");
    expect(await tryNow(5_000)).toMatchObject({
      ok: false,
      error: { code: "UNAVAILABLE", reason: "RECONCILIATION_UNDER_WAY" },
    });
    const waiting = runNow();
    await releaseTurn(shop.deps.db, turn);
    expect(await waiting).toMatchObject({ complete: true });
  });

  test("says so when the gateway does not show its records, and goes on where it stopped", async () => {
    await captured();
    const { listTransactions } = shop.gateway;
    shop.gateway.listTransactions = async () => ({ kind: "unknown", because: "no answer" });
    expect(await tryNow()).toMatchObject({
      ok: false,
      error: { code: "UNAVAILABLE", reason: "OUTCOME_UNKNOWN" },
    });
    shop.gateway.listTransactions = listTransactions;
    expect(await runNow()).toMatchObject({ transactionCount: 2 });
  });

  test("sets a record right that was told of twice", async () => {
    const paymentId = await captured();
    const reference = await referenceOf(paymentId);
    await compare();
    const { listTransactions } = shop.gateway;
    shop.gateway.listTransactions = async (after) => {
      shop.gateway.listTransactions = listTransactions;
      const page = await listTransactions(after);
      if (page.kind !== "ok") return page;
      const again = {
        kind: "CAPTURE",
        authorizationReference: reference,
        currencyCode: "EUR",
        amount: 5_000n,
      } as const;
      return { ...page, value: { ...page.value, transactions: [again] } };
    };
    const seen = await runNow();
    expect(seen.totals[0]).toMatchObject({ unexplainedMinorUnits: 0n });
    await compare();
    expect(await discrepanciesOf(paymentId)).toEqual([]);
    expect((await runNow()).totals[0]?.gatewayMinorUnits).toBe((seen.totals[0]?.gatewayMinorUnits ?? 0n) - 5_000n);
  });
});

test("only those whose work it is may compare, and see what differs", async () => {
  const anybody = shop.mesh.mesh("gateway").client(PaymentService);
  const as = (roles: string[]) => shop.mesh.call({ user: { roles } });
  const request = { requestId: newId("req") };
  expect(await anybody.try.reconcilePayments(request, as([]))).toMatchObject({ ok: false });
  expect(await anybody.try.reconcilePayments(request, as(["support"]))).toMatchObject({ ok: true });
});
