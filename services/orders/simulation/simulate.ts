import { type Answers, type Purchase, press } from "./buyers.ts";
import { announceReturn, cancelOrder, receiveReturn, refundOrder, retryOrder, withdrawReturn } from "./desk.ts";
import { checkAlways, checkAtRest } from "./invariants.ts";
import type { OrdersProcess } from "./process.ts";
import type { Act, Schedule, Wait } from "./schedule.ts";
import { crash, openShop, type Shop } from "./shop.ts";
import type { OrdersTable } from "./table.ts";
import { type Party, Violation, World } from "./world.ts";

/** From the last fault on, everything comes to rest within so long, by the simulated clock. */
const REST_WITHIN_MS = 3_600_000;
/** Within so long a process has ended that was told to. */
const STOP_MS = 4_000;
/** For how long the shop is watched on, for what comes late. */
const AFTERWARDS_MS = 1_800_000;

export interface Run {
  readonly messages: number;
  readonly orders: readonly string[];
  readonly trace: readonly string[];
}

/** Runs a schedule to its end. Throws a Violation at once when something is seen that must never be. */
export async function simulate(
  schedule: Schedule,
  options: { readonly traced?: boolean; readonly plant?: (shop: Shop) => void } = {},
): Promise<Run> {
  const faults = new Map(schedule.faults.map(({ message, fate }) => [message, fate]));
  const world = new World({ faults, dice: schedule.dice, traced: options.traced ?? false });
  const shop = openShop(world, schedule);
  options.plant?.(shop);
  const answers: Answers = new Map();
  try {
    const play = startPlay(shop, schedule, answers);
    const check = (): void => {
      if (!world.changed) return;
      world.changed = false;
      checkAlways(shop);
    };
    await world.run(play.isOver, check);
    await untilRest(shop, check);
    checkAtRest(shop, answers);
    // Whoever presses once more is told the same.
    for (const purchase of purchasesOf(schedule)) void press(shop, answers, purchase, purchase.number);
    await untilRest(shop, check);
    checkAtRest(shop, answers);
  } catch (error) {
    if (error instanceof Violation && world.trace !== undefined) error.message += `\n${world.trace.join("\n")}`;
    throw error;
  }
  const orders = [...shop.table.rows.values()].map(({ order }) => order.state);
  return { messages: world.messages, orders, trace: world.trace ?? [] };
}

/** The purchases of a schedule, numbered in their order. */
function purchasesOf({ script }: Schedule): readonly Purchase[] {
  return script.filter((act) => act.kind === "buy").map(({ units, card }, number) => ({ number, units, card }));
}

/** What the schedule has people do and processes suffer, one after another: each at its message, or at rest. */
function startPlay(shop: Shop, schedule: Schedule, answers: Answers): { readonly isOver: () => boolean } {
  const { world, table } = shop;
  const coming = [...schedule.script];
  const purchases = [...purchasesOf(schedule)];
  let lastAt = 0;
  const next = (): void => {
    const act = coming.shift();
    if (act === undefined) return;
    lastAt = world.messages;
    const purchase = act.kind === "buy" ? purchases.shift() : undefined;
    world.later(0, () => {
      world.troubledMs = Math.max(world.troubledMs, world.nowMs);
      if (purchase !== undefined && act.kind === "buy") void press(shop, answers, purchase, act.process);
      else perform(shop, schedule, answers, act);
    });
  };
  const isDue = (count: number): boolean => {
    const wait = coming[0]?.wait;
    return wait !== undefined && wait !== "rest" && lastAt + wait <= count;
  };
  world.onMessage = (count) => {
    while (isDue(count)) next();
  };
  while (isDue(0)) next();
  return {
    isOver: () => {
      checkProgress(shop);
      if (table.nextDueMs([]) !== undefined || !world.isIdle()) return false;
      if (coming.length === 0) return true;
      next();
      return false;
    },
  };
}

function perform(shop: Shop, schedule: Schedule, answers: Answers, act: Act & { readonly wait: Wait }): void {
  const { world, parties, processes } = shop;
  const { wait: _wait, ...what } = act;
  world.note(() => JSON.stringify(what));
  if (act.kind === "clock jumps") {
    world.jump(act.ms);
    world.troubledMs = world.nowMs;
    return;
  }
  if (act.kind === "callee crashes") {
    crash(shop, parties[act.callee], act.ms);
    return;
  }
  const { party, running } = nth(processes, act.process) ?? {};
  if (party === undefined || running === undefined) return;
  if ("ms" in act) {
    befall(shop, party, running, act);
    return;
  }
  if (act.kind === "press again") {
    const purchase = nth(purchasesOf(schedule), act.order);
    if (purchase !== undefined) void press(shop, answers, purchase, act.process);
    return;
  }
  const request = requestOf(shop, act);
  if (request === undefined) return;
  // A request is a transaction; what is due then is looked for at once.
  running.db.run(JSON.stringify(what), request).then(running.wake, world.expectFailure);
}

/** What befalls a process of orders. */
function befall(
  shop: Shop,
  party: Party,
  running: OrdersProcess,
  { kind, ms }: Extract<Act, { readonly kind: "crash" | "pause" | "stop" }>,
): void {
  const { world } = shop;
  switch (kind) {
    case "crash":
      crash(shop, party, ms);
      return;
    case "pause":
      party.pausedUntilMs = world.nowMs + ms;
      return;
    case "stop":
      running.close();
      world.later(STOP_MS, () => crash(shop, party, ms), party);
  }
}

/** What somebody asks of an order, or of a return; undefined when there is none yet. */
function requestOf({ table }: Shop, act: Act): ((table: OrdersTable) => void) | undefined {
  if (act.kind === "receive return" || act.kind === "withdraw return") {
    const id = nth([...table.returns.keys()], act.returned);
    if (id === undefined) return undefined;
    return act.kind === "receive return" ? (there) => receiveReturn(there, id) : (there) => withdrawReturn(there, id);
  }
  if (!("order" in act)) return undefined;
  const id = nth([...table.rows.keys()], act.order);
  if (id === undefined) return undefined;
  switch (act.kind) {
    case "cancel":
      return (there) => cancelOrder(there, id);
    case "retry":
      return (there) => retryOrder(there, id);
    case "refund":
      return (there) => refundOrder(there, id, BigInt(act.amount));
    case "announce return":
      return (there) => announceReturn(there, id, BigInt(act.units));
    default:
      return undefined;
  }
}

function nth<T>(all: readonly T[], at: number): T | undefined {
  return all[at % Math.max(all.length, 1)];
}

/** Lets everything come to rest without any more faults, and then waits for what comes late. */
async function untilRest(shop: Shop, check: () => void): Promise<void> {
  const { world, table } = shop;
  world.noMoreFaults();
  world.troubledMs = world.nowMs;
  const until = (): boolean => {
    checkProgress(shop);
    return table.nextDueMs([]) === undefined && world.isIdle() && world.nowMs - world.troubledMs > AFTERWARDS_MS;
  };
  await world.run(until, check);
}

function checkProgress({ world, table }: Shop): void {
  if (world.nowMs - world.troubledMs < REST_WITHIN_MS) return;
  for (const { order, lastError } of table.rows.values()) {
    if (order.step === "done") continue;
    const { id, state, step, attempts } = order;
    throw new Violation(`${id} is still ${state}/${step} after ${attempts} tries: ${lastError}`);
  }
}
