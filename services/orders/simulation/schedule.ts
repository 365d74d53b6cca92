import fc from "fast-check";
import { type Fate, fates } from "./fates.ts";
import type { Card } from "./payment-gateway.ts";

/** What somebody does, or what befalls a process. Orders, returns and processes are named by a number that goes round. */
export type Act =
  /** The first press of the button. No units at all stand for one of the first SKU. */
  | { readonly kind: "buy"; readonly process: number; readonly units: readonly number[]; readonly card: Card }
  | { readonly kind: "press again" | "cancel" | "retry"; readonly order: number; readonly process: number }
  | { readonly kind: "refund"; readonly order: number; readonly process: number; readonly amount: number }
  | { readonly kind: "announce return"; readonly order: number; readonly process: number; readonly units: number }
  | { readonly kind: "receive return" | "withdraw return"; readonly returned: number; readonly process: number }
  | { readonly kind: "crash" | "pause" | "stop"; readonly process: number; readonly ms: number }
  | { readonly kind: "callee crashes"; readonly callee: Callee; readonly ms: number }
  | { readonly kind: "clock jumps"; readonly ms: number };

export type Callee = "database" | "payments" | "inventory" | "cart" | "gateway";

/** How many messages after the one before it an act comes; or when nothing else happens any more. */
export type Wait = number | "rest";

/** Everything that decides a run. */
export interface Schedule {
  readonly processes: number;
  readonly stocked: readonly number[];
  readonly script: readonly (Act & { readonly wait: Wait })[];
  /** What is not prompt, by the number of the message. */
  readonly faults: readonly { readonly message: number; readonly fate: Fate }[];
  readonly dice: number;
}

/** How many schedules `npm test` runs. */
export const SCHEDULES = 3_000;

const MAX_PROCESSES = 3;
const MAX_ORDERS = 5;
const MAX_ACTS = 5;
const MAX_LATE_ACTS = 7;
const MAX_FAULTS = 12;
/** An order that all goes well with takes about twenty messages. */
const MAX_MESSAGE = 160;

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

/** Shorter than anything waits; longer than a call; than the wait for a token; than a lease; than a token; than a hold. */
const outage = fc.constantFrom(5, 12 * SECOND, 20 * SECOND, 40 * SECOND, 3 * MINUTE, 20 * MINUTE);
const wait = fc.oneof(
  { weight: 3, arbitrary: fc.nat(6) },
  { weight: 3, arbitrary: fc.nat(25) },
  { weight: 2, arbitrary: fc.constant("rest" as const) },
);
const process = fc.nat(MAX_PROCESSES - 1);
const order = fc.nat(MAX_ORDERS - 1);

const buy = fc.record({
  wait: fc.oneof({ weight: 4, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: wait }),
  kind: fc.constant("buy" as const),
  process,
  units: fc.array(fc.nat(2), { minLength: 1, maxLength: 2 }),
  card: fc.constantFrom<Card>("good", "good", "good", "good", "good", "declined", "not captured", "grudging"),
});

const refund = fc.record({
  wait,
  kind: fc.constant("refund" as const),
  order,
  process,
  amount: fc.constantFrom(1, 490, 900, 5_000),
});
const announce = fc.record({
  wait,
  kind: fc.constant("announce return" as const),
  order,
  process,
  units: fc.integer({ min: 1, max: 2 }),
});
const receive = fc.record({ wait, kind: fc.constant("receive return" as const), returned: fc.nat(3), process });
const withdraw = fc.record({ wait, kind: fc.constant("withdraw return" as const), returned: fc.nat(3), process });
const ask = fc.record({
  wait,
  kind: fc.constantFrom("cancel", "cancel", "cancel", "press again", "press again", "retry"),
  order,
  process,
});

const blow = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ wait, kind: fc.constantFrom("crash", "pause", "stop"), process, ms: outage }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      wait,
      kind: fc.constant("callee crashes" as const),
      callee: fc.constantFrom<Callee>("payments", "inventory", "cart", "gateway"),
      ms: outage,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      wait,
      kind: fc.constant("callee crashes" as const),
      callee: fc.constant<Callee>("database"),
      // Every process asks it twice a second, so that longer ones are long to run.
      ms: fc.constantFrom(5, 12 * SECOND, 40 * SECOND),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      wait,
      kind: fc.constant("clock jumps" as const),
      ms: fc.constantFrom(20 * SECOND, 40 * SECOND, 3 * MINUTE, 16 * MINUTE, 8 * DAY),
    }),
  },
);

/** While orders are placed, and once they are: then each comes close upon the one before. */
const act = fc.oneof({ weight: 4, arbitrary: ask }, { weight: 5, arbitrary: blow }, { weight: 1, arbitrary: buy });
const lateAsk = fc.oneof(
  ...[ask, refund, announce, announce, receive, receive, receive, withdraw].map((arbitrary) => ({
    weight: 1,
    arbitrary,
  })),
);
const lateAct = fc
  .tuple(
    fc.oneof({ weight: 1, arbitrary: fc.constant("rest" as const) }, { weight: 4, arbitrary: fc.nat(7) }),
    fc.oneof({ weight: 5, arbitrary: lateAsk }, { weight: 2, arbitrary: blow }),
  )
  .map(([closely, { wait: _wait, ...rest }]): Schedule["script"][number] => ({ wait: closely, ...rest }));

const faulty = Object.keys(fates).filter((name): name is Fate => name !== "prompt");

/** Any schedule. It shrinks to fewer processes, acts and faults, and to shorter waits. */
export const anySchedule: fc.Arbitrary<Schedule> = fc
  .record({
    processes: fc.integer({ min: 1, max: MAX_PROCESSES }),
    // Too little for all of them in some, and enough in most.
    stocked: fc.array(fc.constantFrom(9, 9, 9, 9, 5, 3, 1, 0), { minLength: 2, maxLength: 2 }),
    purchases: fc.array(buy, { minLength: 1, maxLength: MAX_ORDERS - 1, size: "max" }),
    acts: fc.array(act, { maxLength: MAX_ACTS, size: "max" }),
    lateActs: fc.array(lateAct, { maxLength: MAX_LATE_ACTS, size: "max" }),
    faults: fc.array(fc.record({ message: fc.nat(MAX_MESSAGE), fate: fc.constantFrom(...faulty) }), {
      maxLength: MAX_FAULTS,
      size: "max",
    }),
    dice: fc.nat(),
  })
  .map(({ purchases, acts, lateActs: [first, ...lateActs], ...rest }) => {
    const late = first === undefined ? [] : [{ ...first, wait: "rest" as const }, ...lateActs];
    return { ...rest, script: [...purchases, ...acts, ...late] };
  });
