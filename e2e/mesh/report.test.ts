import { expect, test } from "vitest";
import type { PhaseKind } from "./phases.ts";
import type { CallRecord } from "./recorder.ts";
import { judge } from "./report.ts";
import type { PhaseRun } from "./run-phases.ts";

const run = (kind: PhaseKind, problem?: string): PhaseRun => ({
  phase: { what: "it", kind, run: async () => undefined },
  seconds: 1,
  told: undefined,
  problem,
});
const call = (changes: Partial<CallRecord> = {}): CallRecord => ({
  phase: "it",
  client: "plain",
  kind: "read",
  method: "GetCart",
  durationMs: 5,
  failure: undefined,
  ...changes,
});
const failure = "UNAVAILABLE SERVICE_UNAVAILABLE: away";

test("nothing is wrong when no call failed", () => {
  expect(judge([run("planned")], [call()]).problems).toEqual([]);
});

test("nobody may notice what is planned", () => {
  expect(judge([run("planned")], [call(), call({ failure })]).problems).toEqual(["it: 1 calls failed that may not"]);
});

test("a crash may be noticed by who sends nothing again, and by nobody else", () => {
  const problemsOf = (changes: Partial<CallRecord>): number =>
    judge([run("crash")], [call({ failure, ...changes })]).problems.length;
  expect(problemsOf({ client: "plain" })).toBe(0);
  expect(problemsOf({ client: "retrying", kind: "once only" })).toBe(0);
  expect(problemsOf({ client: "retrying", kind: "read" })).toBe(1);
  expect(problemsOf({ client: "retrying", kind: "write" })).toBe(1);
});

test("a build that fails is noticed, and that is told", () => {
  const { problems, table } = judge([run("defect")], [call({ failure })]);
  expect(problems).toEqual([]);
  expect(table).toContain(`it: plain GetCart ${failure}`);
});

test("a call that fails while nothing is done is one too many", () => {
  expect(judge([], [call({ phase: undefined, failure })]).problems).toHaveLength(1);
});

test("a phase that went wrong, or in which nobody called, proves nothing", () => {
  expect(judge([run("planned", "it would not scale")], [call()]).problems).toEqual(["it: it would not scale"]);
  expect(judge([run("planned")], [call({ phase: undefined })]).problems).toEqual(["it: nobody called"]);
  expect(judge([], []).problems).toEqual(["nobody called"]);
});
