import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { transition } from "./domain.ts";
import type { Order, OrderLine } from "./domain-order.ts";
import { checkRefund, planReturn, withAnnounced, withReturned, withWithdrawn } from "./domain-returns.ts";
import type { ReturnedLine, SagaEvent } from "./domain-saga.ts";
import { newOrder } from "./testing/orders.ts";
import { after, paid, success } from "./testing/saga-events.ts";

/** One of SKU-1 at 5.00, two of SKU-2 at 2.50, and 4.90 for sending. */
const now = new Date(0);
const ordered = newOrder({ id: "ord_1" });
const paidOrder: Order = {
  ...ordered,
  ...after(...paid),
  history: [],
  createTime: now,
  updateTime: now,
  version: 6,
  fence: 1n,
  attempts: 0,
};
const eur = (minorUnits: bigint) => ({ currencyCode: "EUR", minorUnits });
const line = (sku: string, quantity: bigint): ReturnedLine => ({ sku, quantity });
const withLine = (changes: Partial<OrderLine>): Order => ({
  ...paidOrder,
  lines: paidOrder.lines.map((one) => (one.sku === "SKU-2" ? { ...one, ...changes } : one)),
});

describe("a return", () => {
  it.each([
    ["one line", [line("SKU-2", 1n)], 250n],
    ["everything, without what sending cost", [line("SKU-1", 1n), line("SKU-2", 2n)], 1_000n],
  ])("gives the price of %s", (_what, items, price) => {
    expect(planReturn(paidOrder, items)).toEqual({ ok: true, value: price });
  });

  it.each([
    ["what is left of the payment", { refunded: 1_300n }, 190n],
    ["less what is promised", { refunded: 1_000n, promised: 400n }, 90n],
    ["nothing when all is given back", { refunded: 1_490n }, 0n],
  ])("gives at most %s", (_what, changes, given) => {
    expect(planReturn({ ...paidOrder, ...changes }, [line("SKU-2", 1n)])).toEqual({ ok: true, value: given });
  });

  it.each([
    ["announced", { announcedQuantity: 1n }],
    ["returned", { returnedQuantity: 1n }],
  ])("counts what was %s before", (_what, changes) => {
    expect(planReturn(withLine(changes), [line("SKU-2", 1n)]).ok).toBe(true);
    expect(planReturn(withLine(changes), [line("SKU-2", 2n)])).toEqual({
      ok: false,
      error: { kind: "quantity_too_large", sku: "SKU-2", returnable: 1n },
    });
  });

  it("is of what was ordered, in an order that is paid", () => {
    expect(planReturn(paidOrder, [line("SKU-3", 1n)])).toMatchObject({ error: { kind: "sku_not_ordered" } });
    expect(planReturn({ ...paidOrder, state: "CANCELLING" }, [line("SKU-1", 1n)])).toMatchObject({
      error: { kind: "state_conflict", state: "CANCELLING" },
    });
  });
});

describe("money without goods", () => {
  it.each([
    ["all that was paid", {}, 1_490n, true],
    ["a unit more", {}, 1_491n, false],
    ["more than is left", { refunded: 400n, promised: 90n }, 1_001n, false],
  ])("is given or refused: %s", (_what, changes, amount, given) => {
    expect(checkRefund({ ...paidOrder, ...changes }, eur(amount)).ok).toBe(given);
  });
});

describe("any run of returns and refunds", () => {
  type Act =
    | { readonly kind: "announce"; readonly sku: string; readonly quantity: bigint }
    | { readonly kind: "refund"; readonly amount: bigint }
    | { readonly kind: "receive" }
    | { readonly kind: "withdraw" }
    | { readonly kind: "work" };
  const act: fc.Arbitrary<Act> = fc.oneof(
    fc.record({
      kind: fc.constant("announce" as const),
      sku: fc.constantFrom("SKU-1", "SKU-2"),
      quantity: fc.bigInt({ min: 1n, max: 2n }),
    }),
    fc.record({ kind: fc.constant("refund" as const), amount: fc.bigInt({ min: 1n, max: 800n }) }),
    fc.constant({ kind: "receive" as const }),
    fc.constant({ kind: "withdraw" as const }),
    fc.constant({ kind: "work" as const }),
  );

  interface Run {
    readonly order: Order;
    readonly announced: readonly { readonly lines: readonly ReturnedLine[]; readonly amount: bigint }[];
  }

  const moved = (order: Order, event: SagaEvent): Order => {
    const next = transition(order, event);
    if (!next.ok) throw new Error(`${event.kind} was planned, and is refused`);
    return { ...order, ...next.value.saga };
  };

  function step({ order, announced }: Run, given: Act): Run {
    switch (given.kind) {
      case "announce": {
        const lines = [line(given.sku, given.quantity)];
        const planned = planReturn(order, lines);
        if (!planned.ok) return { order, announced };
        const asked = moved(order, { kind: "return_announced", amount: planned.value });
        const next = { ...asked, lines: withAnnounced(order.lines, lines) };
        return { order: next, announced: [...announced, { lines, amount: planned.value }] };
      }
      case "refund":
        if (!checkRefund(order, eur(given.amount)).ok) return { order, announced };
        return { order: moved(order, { kind: "refund_requested", amount: given.amount }), announced };
      case "receive": {
        const [first, ...rest] = announced;
        if (first === undefined) return { order, announced };
        const here = moved(order, { kind: "return_received", returnId: "ret_1", ...first });
        return { order: { ...here, lines: withReturned(order.lines, first.lines) }, announced: rest };
      }
      case "withdraw": {
        const [first, ...rest] = announced;
        if (first === undefined) return { order, announced };
        const gone = moved(order, { kind: "return_withdrawn", amount: first.amount });
        return { order: { ...gone, lines: withWithdrawn(order.lines, first.lines) }, announced: rest };
      }
      case "work":
        return order.step === "done" ? { order, announced } : { order: moved(order, success(order)), announced };
    }
  }

  it("gives back no more than was paid, takes back no more than was ordered, and owes nothing in the end", () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 40 }), (acts) => {
        let run: Run = { order: paidOrder, announced: [] };
        for (const given of acts) {
          run = step(run, given);
          const { order } = run;
          expect(order.refunded + order.promised).toBeLessThanOrEqual(order.total);
          for (const { quantity, announcedQuantity, returnedQuantity } of order.lines) {
            expect(announcedQuantity).toBeGreaterThanOrEqual(0n);
            expect(announcedQuantity + returnedQuantity).toBeLessThanOrEqual(quantity);
          }
        }
        while (run.announced.length > 0) run = step(run, { kind: "receive" });
        while (run.order.step !== "done") run = step(run, { kind: "work" });
        expect(run.order).toMatchObject({ state: "PAID", promised: 0n, announced: 0, due: [] });
        expect(run.order.lines.every(({ announcedQuantity }) => announcedQuantity === 0n)).toBe(true);
      }),
    );
  });
});
