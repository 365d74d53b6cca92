import type { Schedule } from "./schedule.ts";

type Entry = Schedule["script"][number];

/** Holds have run out after it. */
const afterHolds = { kind: "clock jumps", ms: 960_000 } as const;
const announces = { kind: "announce return", order: 0, process: 0, units: 1 } as const;
const receives = { kind: "receive return", returned: 0, process: 0 } as const;
const withdraws = { kind: "withdraw return", returned: 0, process: 0 } as const;
const refunds = { kind: "refund", order: 0, process: 0, amount: 10 } as const;

/** Schedules that are worth a name, and such as lead where chance seldom does. They are run with the others, and first. */
export const examples: readonly {
  readonly name: string;
  readonly schedule: Schedule;
  readonly ends: readonly string[];
  /** The edges that they are here for. When the messages of an order become others, `wait` and `message` follow. */
  readonly takes: readonly string[];
}[] = [
  {
    name: "a buyer buys",
    schedule: calm({ script: [buys({ units: [1, 2] })] }),
    ends: ["PAID"],
    takes: ["PENDING/authorize_payment payment_authorized", "CONFIRMED/commit_stock stock_committed"],
  },
  {
    name: "a process asks for a hold when its order was rejected long ago, and there is stock again",
    // Both want the last unit; the process stands still just before it asks, and another one finds out for it.
    schedule: calm({
      processes: 2,
      stocked: [1, 0],
      script: [buys({}), buys({}), { wait: 4, kind: "pause", process: 0, ms: 180_000 }],
    }),
    ends: ["REJECTED", "REJECTED"],
    takes: ["PENDING/reserve_stock stock_short"],
  },
  {
    name: "an authorization arrives when its order has given it up",
    schedule: calm({
      script: [buys({}), { wait: 6, kind: "crash", process: 0, ms: 5 }],
      faults: [{ message: 7, fate: "much later" }],
    }),
    ends: ["REJECTED"],
    takes: ["PENDING/authorize_payment authorization_abandoned", "PENDING/settle_payment payment_declined"],
  },
  {
    name: "a buyer cancels while it is not known what became of the payment",
    schedule: calm({ script: [buys({}), { wait: 4, kind: "crash", process: 0, ms: 5 }, cancels(5)] }),
    ends: ["CANCELLED"],
    takes: ["PENDING/settle_payment cancel_requested"],
  },
  {
    name: "a hold runs out after the capture, and the buyer cancels while the stock is held again",
    schedule: calm({
      script: [buys({}), { wait: 15, ...afterHolds }, cancels(6)],
      faults: [{ message: 19, fate: "slow there" }],
    }),
    ends: ["CANCELLED"],
    takes: ["CONFIRMED/reserve_again cancel_requested", "CANCELLING/reserve_again stock_reserved"],
  },
  {
    name: "a hold runs out after the capture, and somebody else has the unit",
    schedule: calm({ stocked: [1, 0], script: [buys({}), { wait: 14, ...afterHolds }, buys({})] }),
    ends: ["CANCELLED", "PAID"],
    takes: ["CONFIRMED/reserve_again stock_short"],
  },
  {
    name: "a hold runs out after the capture, somebody else has the unit, and the buyer cancels meanwhile",
    schedule: calm({
      stocked: [1, 3],
      script: [buys({}), { wait: 16, ...afterHolds }, buys({ wait: 5 }), cancels(1)],
      faults: [{ message: 26, fate: "slow there" }],
    }),
    ends: ["CANCELLED", "PAID"],
    takes: ["CANCELLING/reserve_again stock_short"],
  },
  {
    name: "goods come back and money is asked for while the cart cannot be cleared",
    schedule: calm({
      script: [
        { wait: 0, kind: "callee crashes", callee: "cart", ms: 180_000 },
        buys({ units: [2] }),
        { wait: 19, ...announces },
        { wait: 0, ...refunds },
        { wait: 22, ...receives },
      ],
    }),
    ends: ["PAID"],
    takes: ["PAID/clear_cart return_announced", "PAID/clear_cart refund_requested", "PAID/clear_cart return_received"],
  },
  {
    name: "a return is withdrawn while the cart cannot be cleared",
    schedule: calm({
      script: [
        { wait: 0, kind: "callee crashes", callee: "cart", ms: 180_000 },
        buys({}),
        { wait: 19, ...announces },
        { wait: 5, ...withdraws },
      ],
    }),
    ends: ["PAID"],
    takes: ["PAID/clear_cart return_withdrawn"],
  },
  {
    name: "a return is withdrawn, and its order is cancelled after all",
    schedule: calm({
      script: [
        buys({}),
        { wait: "rest", ...announces },
        { wait: "rest", ...withdraws },
        { ...cancels(0), wait: "rest" },
      ],
    }),
    ends: ["CANCELLED"],
    takes: ["PAID/done return_withdrawn", "PAID/done cancel_requested"],
  },
  {
    name: "a return is withdrawn while another is taken back",
    schedule: calm({
      script: [
        buys({ units: [2, 2] }),
        { wait: "rest", ...announces },
        { wait: "rest", ...announces },
        { wait: "rest", ...receives },
        { wait: 3, ...withdraws, returned: 1 },
      ],
      faults: [{ message: 27, fate: "slow there" }],
    }),
    ends: ["PAID"],
    takes: ["PAID/restock return_withdrawn"],
  },
  {
    name: "a return is withdrawn while money is given back",
    schedule: calm({
      script: [
        buys({ units: [2, 2] }),
        { wait: "rest", ...announces },
        { wait: "rest", ...refunds },
        { wait: 1, ...withdraws },
      ],
      faults: [{ message: 26, fate: "slow there" }],
    }),
    ends: ["PAID"],
    takes: ["PAID/refund_payment return_withdrawn"],
  },
  {
    name: "a buyer cancels while the cart cannot be cleared",
    schedule: calm({
      script: [{ wait: 0, kind: "callee crashes", callee: "cart", ms: 40_000 }, buys({}), cancels(19)],
    }),
    ends: ["CANCELLED"],
    takes: ["PAID/clear_cart cancel_requested"],
  },
  {
    name: "goods are taken back by a message that comes twice",
    schedule: calm({
      script: [buys({ units: [2] }), { wait: "rest", ...announces }, { wait: "rest", ...receives }],
      faults: [{ message: 25, fate: "twice" }],
    }),
    ends: ["PAID"],
    takes: ["PAID/restock stock_restocked"],
  },
  {
    name: "money is asked for while goods are taken back",
    schedule: calm({
      script: [
        buys({ units: [2] }),
        { wait: "rest", ...announces },
        { wait: "rest", ...receives },
        { wait: 1, ...refunds },
      ],
      faults: [{ message: 25, fate: "slow there" }],
    }),
    ends: ["PAID"],
    takes: ["PAID/restock refund_requested"],
  },
  {
    name: "goods come back and money is asked for while money is given back",
    schedule: calm({
      script: [
        buys({ units: [2, 2] }),
        { wait: "rest", ...refunds },
        { wait: 1, ...announces },
        { wait: 2, ...refunds },
        { wait: 1, ...receives },
      ],
      faults: [{ message: 26, fate: "slow there" }],
    }),
    ends: ["PAID"],
    takes: [
      "PAID/refund_payment return_announced",
      "PAID/refund_payment refund_requested",
      "PAID/refund_payment return_received",
    ],
  },
];

function buys(purchase: Partial<Extract<Entry, { readonly kind: "buy" }>>): Entry {
  return { wait: 0, kind: "buy", process: 0, units: [1], card: "good", ...purchase };
}

function cancels(wait: number): Entry {
  return { wait, kind: "cancel", order: 0, process: 0 };
}

function calm(schedule: Partial<Schedule>): Schedule {
  return { processes: 1, stocked: [3, 3], script: [], faults: [], dice: 1, ...schedule };
}
