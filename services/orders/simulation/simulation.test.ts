import fc from "fast-check";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { transition } from "../domain.ts";
import type { Saga } from "../domain-saga.ts";
import { allEvents, initialSaga } from "../testing/saga-events.ts";
import { examples } from "./examples.ts";
import { lens } from "./machine.ts";
import { anySchedule, SCHEDULES, type Schedule } from "./schedule.ts";
import { simulate } from "./simulate.ts";

vi.mock(import("../domain.ts"), async (original) => (await import("./machine.ts")).throughLens(await original()));
vi.mock(import("../store.ts"), () => import("./database.ts"));
vi.mock(import("../store-saga.ts"), () => import("./database.ts"));
vi.mock("node:timers/promises", () => import("./sleep.ts"));

const { SHOPMESH_SEED, SHOPMESH_PATH, SHOPMESH_SCHEDULES, SHOPMESH_EDGES } = process.env;
/** A test goes the same way each time; whoever asks for a number of schedules wants others. */
const seed = SHOPMESH_SEED === undefined && SHOPMESH_SCHEDULES !== undefined ? undefined : Number(SHOPMESH_SEED ?? 1);
const numRuns = Number(SHOPMESH_SCHEDULES ?? SCHEDULES);
/** A single schedule, or a few, need not lead everywhere. */
const leadsEverywhere = SHOPMESH_PATH === undefined && numRuns >= SCHEDULES;
const timeoutMs = 120_000 + numRuns * 50;

describe("the orders of a shop where everything goes wrong", () => {
  test("keep every promise, whatever the schedule", { timeout: timeoutMs }, async () => {
    const legal = legalEdges();
    lens.taken = new Map();
    onTestFinished(() => {
      lens.taken = new Map();
    });
    const ends = new Map<string, number>();
    let messages = 0;
    const result = await fc.check(
      fc.asyncProperty(anySchedule, async (schedule) => {
        const run = await simulate(schedule);
        messages += run.messages;
        for (const state of run.orders) ends.set(state, (ends.get(state) ?? 0) + 1);
      }),
      {
        numRuns: numRuns + examples.length,
        seed,
        path: SHOPMESH_PATH,
        examples: examples.map(({ schedule }) => [schedule]),
      },
    );
    if (result.failed) throw new Error(await tellOf(result));
    const figures = [...ends].map(([state, count]) => `${count} ${state}`).join(", ");
    console.info(`seed ${result.seed}: ${result.numRuns} schedules, ${messages} messages; orders: ${figures}`);
    if (SHOPMESH_EDGES !== undefined) console.info(edges());
    if (leadsEverywhere) expect(legal.filter((edge) => !lens.taken.has(edge))).toEqual([]);
  });

  test.each(examples)("$name", async ({ schedule, ends, takes }) => {
    lens.taken = new Map();
    const { orders, trace } = await simulate(schedule, { traced: true });
    expect(orders, trace.join("\n")).toEqual(ends);
    expect([...lens.taken.keys()], trace.join("\n")).toEqual(expect.arrayContaining([...takes]));
  });

  test("go the same way whenever a schedule is run again", async () => {
    for (const schedule of fc.sample(anySchedule, { seed: 7, numRuns: 20 })) {
      const [one, other] = [await simulate(schedule, { traced: true }), await simulate(schedule, { traced: true })];
      expect(one.trace.length).toBeGreaterThan(5);
      expect(other.trace).toEqual(one.trace);
    }
  });
});

/** Every edge that the machine has, found by trying every event wherever an order can be. */
function legalEdges(): readonly string[] {
  const seen = new Set<string>();
  const open: Saga[] = [initialSaga];
  lens.taken = new Map();
  for (let saga = open.pop(); saga !== undefined; saga = open.pop()) {
    const key = JSON.stringify(saga, (_name, value) => (typeof value === "bigint" ? `${value}` : value));
    if (seen.has(key)) continue;
    seen.add(key);
    for (const event of allEvents) {
      const moved = transition(saga, event);
      if (moved.ok) open.push(moved.value.saga);
    }
  }
  return [...lens.taken.keys()];
}

function edges(): string {
  const rarest = [...lens.taken].sort(([, a], [, b]) => a - b);
  return rarest.map(([edge, count]) => `${String(count).padStart(8)}  ${edge}`).join("\n");
}

/** What was seen, how it came about in the simplest schedule that was found, and how to see it again. */
async function tellOf(result: fc.RunDetails<Schedule[]>): Promise<string> {
  const { seed: usedSeed, counterexamplePath, counterexample, errorInstance } = result;
  const [schedule] = counterexample ?? [];
  if (schedule === undefined) return String(errorInstance);
  const traced = await simulate(schedule, { traced: true }).catch((error: unknown) => error);
  return [
    traced instanceof Error ? traced.message : "the violation did not come again: the simulation is not deterministic",
    `schedule: ${JSON.stringify(schedule)}`,
    `again: SHOPMESH_SEED=${usedSeed} SHOPMESH_PATH=${counterexamplePath} npx vitest run services/orders/simulation/simulation.test.ts`,
  ].join("\n");
}
