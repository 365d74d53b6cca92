import { quantile, table } from "../support/figures.ts";
import type { CallRecord, ClientKind } from "./recorder.ts";
import type { PhaseRun } from "./run-phases.ts";

/** Whether nobody noticed who was not to notice. */
export interface Verdict {
  readonly table: string;
  /** What is not as it must be; empty when all is. */
  readonly problems: readonly string[];
}

/** While nothing was done to the shop. */
const quiet = "nothing in particular";
/** The phase before all others, in which the processes compile themselves. */
export const warmUp = "warming up";

/**
 * What the shoppers met in each phase. Nothing may fail in a phase that is planned; in a crash nothing may fail that
 * the contract calls idempotent, of clients that send again what they may.
 */
export function judge(runs: readonly PhaseRun[], calls: readonly CallRecord[]): Verdict {
  const rows = runs.map((run) => ({ run, own: calls.filter(({ phase }) => phase === run.phase.what) }));
  const others = [warmUp, quiet].map((what) => ({
    what,
    own: calls.filter(({ phase = quiet }) => phase === what),
  }));
  const header = ["what", "s", "calls", "failed, plain", "failed, retrying", "p50 ms", "p99 ms", "max ms"];
  const lines = [
    ...rows.map(({ run, own }) => line(run.phase.what, run.seconds.toFixed(1), own)),
    ...others.map(({ what, own }) => line(what, "", own)),
  ];
  return {
    table: [table(header, lines), ...told(runs), ...failures(calls)].join("\n"),
    problems: [
      ...rows.flatMap(({ run, own }) => problemsOf(run, own)),
      ...others.flatMap(({ what, own }) => tooMany(what, own, () => true)),
      ...(calls.length === 0 ? ["nobody called"] : []),
    ],
  };
}

function line(what: string, seconds: string, calls: readonly CallRecord[]): readonly string[] {
  const ms = calls.map(({ durationMs }) => durationMs);
  const failedOf = (client: ClientKind): string => {
    const own = calls.filter((call) => call.client === client && call.failure !== undefined);
    const writes = own.filter(({ kind }) => kind !== "read").length;
    return writes === 0 ? String(own.length) : `${own.length} (${writes} writes)`;
  };
  return [
    what,
    seconds,
    String(calls.length),
    failedOf("plain"),
    failedOf("retrying"),
    ...[0.5, 0.99, 1].map((part) => quantile(ms, part).toFixed(0)),
  ];
}

function problemsOf({ phase, problem }: PhaseRun, calls: readonly CallRecord[]): readonly string[] {
  const counts = (call: CallRecord): boolean =>
    phase.kind === "planned" || (phase.kind === "crash" && call.client === "retrying" && call.kind !== "once only");
  return [
    ...(problem === undefined ? [] : [`${phase.what}: ${problem}`]),
    ...(calls.length === 0 ? [`${phase.what}: nobody called`] : []),
    ...tooMany(phase.what, calls, counts),
  ];
}

function tooMany(what: string, calls: readonly CallRecord[], counts: (call: CallRecord) => boolean): readonly string[] {
  const failed = calls.filter((call) => call.failure !== undefined && counts(call)).length;
  return failed === 0 ? [] : [`${what}: ${failed} calls failed that may not`];
}

function told(runs: readonly PhaseRun[]): readonly string[] {
  const lines = runs.flatMap((run) => (run.told === undefined ? [] : [`${run.phase.what}: ${run.told}`]));
  return lines.length === 0 ? [] : ["", ...lines];
}

const maxShown = 40;

function failures(calls: readonly CallRecord[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const { phase, client, method, failure } of calls) {
    if (failure === undefined) continue;
    const key = `${phase ?? quiet}: ${client} ${method} ${failure}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const all = [...counts].map(([what, count]) => `${String(count).padStart(6)}  ${what}`);
  return all.length === 0 ? [] : ["", "what failed:", ...all.slice(0, maxShown)];
}
