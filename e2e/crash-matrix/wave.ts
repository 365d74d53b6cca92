import { setTimeout as delay } from "node:timers/promises";
import type { Intercept, Verdict } from "#testing/faults/exchange.ts";
import { deferred } from "../../cli/deferred.ts";
import { audit } from "../audit/audit.ts";
import type { Books, BuyersWord, OrderRow } from "../audit/books.ts";
import { unfinished } from "../audit/orders.ts";
import { readBooks } from "../audit/read-books.ts";
import { type FaultShop, serviceOf } from "../support/fault-shop.ts";
import type { Staff } from "../support/staff.ts";
import { type Actor, type Meeting, prepareActor } from "./acting.ts";
import { type Cell, callName, createOwners } from "./cells.ts";

/** What is killed, all of it at once. */
export interface Victim {
  readonly name: string;
  readonly services: readonly string[];
  readonly postgres: "SIGKILL" | "SIGQUIT" | undefined;
}

export const victims: readonly Victim[] = [
  { name: "orders", services: ["orders"], postgres: undefined },
  { name: "inventory", services: ["inventory"], postgres: undefined },
  { name: "payments", services: ["payments"], postgres: undefined },
  { name: "cart", services: ["cart"], postgres: undefined },
  { name: "payment gateway", services: ["payment-gateway"], postgres: undefined },
  { name: "PostgreSQL, killed", services: [], postgres: "SIGKILL" },
  { name: "PostgreSQL, shut down at once", services: [], postgres: "SIGQUIT" },
  {
    name: "everything",
    services: ["control", "orders", "inventory", "payments", "cart", "payment-gateway"],
    postgres: "SIGKILL",
  },
];

/** How a cell ended. */
export interface CellResult {
  readonly cell: Cell;
  readonly state: string;
  /** From the crash until the order was at rest; undefined when it was not in time. */
  readonly restSeconds: number | undefined;
  /** What is wrong; empty when all is well. */
  readonly problems: readonly string[];
}

const reachWithinMs = 40_000;
const restWithinMs = 60_000;
const pollMs = 250;

/** Lets a shop's exchanges through, but for those of the wave that runs. */
export interface Stage {
  readonly intercept: Intercept;
  play(watch: Intercept | undefined): void;
}

export function createStage(): Stage {
  let watching: Intercept | undefined;
  return {
    intercept: (exchange, moment) => watching?.(exchange, moment) ?? "pass",
    play(watch) {
      watching = watch;
    },
  };
}

/** Where a wave is played. */
export interface Theatre {
  readonly shop: FaultShop;
  readonly staff: Staff;
  readonly stage: Stage;
  readonly say: (text: string) => void;
}

const nobodysWord: BuyersWord = { acknowledged: [], asked: new Set(), replays: [] };

/**
 * Brings every cell's order to its point, where it is held; kills the victim; and waits until all orders are at rest and
 * the books are right. The buyers ask again, as buyers do, under the same request_ids.
 */
export async function playWave(
  { shop, staff, stage, say }: Theatre,
  { cells, victim }: { readonly cells: readonly Cell[]; readonly victim: Victim },
): Promise<readonly CellResult[]> {
  const hold = createHold(cells);
  stage.play(hold.intercept);
  const actors = await Promise.all(cells.map((cell) => prepareActor({ shop, staff }, cell, hold.meetingOf(cell))));
  try {
    hold.arm();
    const acting = Promise.allSettled(actors.map(({ act }) => act()));
    say(`${victim.name}: ${await hold.allReached(reachWithinMs)} of ${cells.length} orders are at their points`);
    const beginMs = performance.now();
    await crash(shop, victim);
    hold.release(victim.postgres !== undefined && victim.services.length === 0 ? "pass" : "cut");
    await shop.ready(restWithinMs);
    const [acted, rest] = await Promise.all([acting, untilRest(shop, { beginMs, actors })]);
    const failed = acted.flatMap((outcome) => (outcome.status === "rejected" ? [String(outcome.reason)] : []));
    const findings = audit(rest.books, nobodysWord);
    const problems = [...findings.flatMap(({ violations }) => violations), ...failed];
    return actors.map((actor) => judge(actor, { rest, problems, wasReached: hold.wasReached(actor.cell) }));
  } finally {
    stage.play(undefined);
    hold.release("pass");
    for (const { buyer } of actors) buyer.close();
  }
}

interface Rest {
  readonly books: Books;
  /** By request_id: the order, and when it was at rest. */
  readonly orders: ReadonlyMap<string, { readonly order: OrderRow; readonly seconds: number | undefined }>;
}

/** Reads the books again and again until nothing is left to be done, or time is up. */
async function untilRest(
  shop: FaultShop,
  { beginMs, actors }: { readonly beginMs: number; readonly actors: readonly Actor[] },
): Promise<Rest> {
  const seconds = new Map<string, number>();
  for (;;) {
    const books = await readBooks(shop.source());
    const now = performance.now() - beginMs;
    const left = unfinished(books);
    for (const { id } of books.orders) {
      if (!seconds.has(id) && !left.some((line) => line.includes(id))) seconds.set(id, now / 1_000);
    }
    if (left.length > 0 && now < restWithinMs) {
      await delay(pollMs);
      continue;
    }
    const wanted = new Set(actors.map(({ requestId }) => requestId));
    const ours = books.orders.filter(({ requestId }) => wanted.has(requestId));
    return {
      books,
      orders: new Map(ours.map((order) => [order.requestId, { order, seconds: seconds.get(order.id) }])),
    };
  }
}

function judge(
  { cell, requestId }: Actor,
  {
    rest,
    problems,
    wasReached,
  }: { readonly rest: Rest; readonly problems: readonly string[]; readonly wasReached: boolean },
): CellResult {
  const found = rest.orders.get(requestId);
  const { order, seconds } = found ?? {};
  const state = order?.state ?? "no order";
  // What names no order of a cell is held against all of them.
  const others = [...rest.orders.values()].filter((one) => one !== found).map((one) => one.order.id);
  return {
    cell,
    state,
    restSeconds: seconds,
    problems: [
      ...(wasReached ? [] : ["it never came to its point"]),
      ...(seconds === undefined ? [`not at rest within ${restWithinMs / 1_000} s`] : []),
      ...(cell.scenario.ends.includes(state) ? [] : [`it ended as ${state}`]),
      ...problems.filter((problem) => !others.some((id) => problem.includes(id))),
    ],
  };
}

interface Hold {
  readonly intercept: Intercept;
  arm(): void;
  /** Waits until every order is at its point, at most so long. Returns how many are. */
  allReached(withinMs: number): Promise<number>;
  wasReached(cell: Cell): boolean;
  meetingOf(cell: Cell): Meeting;
  release(verdict: Verdict): void;
}

function newMeeting() {
  return {
    authorizing: deferred<void>(),
    capturing: deferred<void>(),
    captured: deferred<void>(),
    cancelled: deferred<void>(),
  };
}

function createHold(cells: readonly Cell[]): Hold {
  const owners = createOwners(cells);
  const reached = new Set<Cell>();
  const meetings = new Map(cells.map((cell) => [cell, newMeeting()]));
  let armed = false;
  let release = (_: Verdict): void => {};
  const released = new Promise<Verdict>((resolve) => {
    release = resolve;
  });
  return {
    intercept(exchange, moment) {
      const cell = owners.cellOf(exchange);
      if (!armed || cell === undefined) return "pass";
      const call = callName(exchange);
      const { authorizing, capturing, captured, cancelled } = meetings.get(cell) ?? {};
      if (call === "authorizations") authorizing?.resolve();
      if (call === "capture") (moment === "before" ? capturing : captured)?.resolve();
      const comeTo = (): Verdict | Promise<Verdict> => {
        if (call !== cell.point.call || moment !== cell.point.moment) return "pass";
        reached.add(cell);
        return released;
      };
      if (cell.scenario.action === "cancel when confirmed" && moment === "before") {
        // A capture that is to meet a cancellation waits for it, and the void that follows finds the money taken.
        if (call === "capture") return cancelled?.promise.then(() => "pass") ?? "pass";
        if (call === "VoidPayment") return captured?.promise.then(comeTo) ?? comeTo();
      }
      return comeTo();
    },
    arm() {
      armed = true;
    },
    async allReached(withinMs) {
      const giveUpMs = performance.now() + withinMs;
      while (reached.size < cells.length && performance.now() < giveUpMs) await delay(pollMs);
      return reached.size;
    },
    wasReached: (cell) => reached.has(cell),
    meetingOf(cell) {
      const { authorizing, capturing, cancelled } = meetings.get(cell) ?? {};
      return {
        authorizing: authorizing?.promise ?? Promise.resolve(),
        capturing: capturing?.promise ?? Promise.resolve(),
        cancelled: () => cancelled?.resolve(),
      };
    },
    release(verdict) {
      armed = false;
      for (const { capturing, captured, cancelled } of meetings.values()) {
        capturing.resolve();
        captured.resolve();
        cancelled.resolve();
      }
      release(verdict);
    },
  };
}

async function crash(shop: FaultShop, { services, postgres }: Victim): Promise<void> {
  for (const program of shop.programs) if (services.includes(serviceOf(program))) shop.signal(program, "SIGKILL");
  if (postgres !== undefined) await shop.restartPostgres(postgres);
}
