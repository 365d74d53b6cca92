import type { Clock } from "#mesh/clock.ts";
import type { ProcessStatus } from "./supervise.ts";

/** How long a process may take to answer. */
const ANSWER_MS = 3_000;
/** How long to wait between an answer, or none, and the next question. */
const PAUSE_MS = 2_000;
/** So many questions in a row without an answer tell of a process that hangs. */
const MISSES = 3;
/** What a round may take besides. When it takes longer it is this very process that stood still, or its machine. */
const LAG_MS = 1_000;
/** After how long a process is found to hang, and ended. */
export const HANG_SECONDS = (MISSES * (ANSWER_MS + PAUSE_MS)) / 1_000;

export interface HangWatchOptions {
  /** The process as it is now; undefined when there is none. */
  readonly process: () => ProcessStatus | undefined;
  /** Asks it. False when it says nothing in time; whatever it says, and be it to refuse, is an answer. Never rejects. */
  readonly answers: (process: ProcessStatus, timeoutMs: number) => Promise<boolean>;
  readonly onHang: (process: ProcessStatus) => void;
  readonly clock: Clock;
}

/**
 * Watches a process that takes calls, and tells when it hangs: it lives, and has answered nothing for `HANG_SECONDS`.
 * Rounds in which we stood still ourselves, as on a laptop that was closed, say nothing about it. Ends with the signal.
 */
export async function watchForHangs(options: HangWatchOptions, signal: AbortSignal): Promise<void> {
  let missed: { readonly pid: number; readonly times: number } = { pid: 0, times: 0 };
  while (await pause(signal)) {
    const asked = options.process();
    if (asked?.state !== "ready") continue;
    const stopwatch = startStopwatch(options.clock);
    const isFine = await options.answers(asked, ANSWER_MS);
    const stoodStill = stopwatch() > ANSWER_MS + LAG_MS;
    const { pid } = asked;
    const present = options.process();
    if (isFine || stoodStill || present?.pid !== pid || present.state !== "ready") {
      missed = { pid, times: 0 };
      continue;
    }
    missed = { pid, times: missed.pid === pid ? missed.times + 1 : 1 };
    if (missed.times < MISSES) continue;
    missed = { pid, times: 0 };
    if (!signal.aborted) options.onHang(asked);
  }
}

/** False when the signal has aborted. */
function pause(signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve(!signal.aborted);
    };
    const timer = setTimeout(end, PAUSE_MS);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}

/** How many milliseconds have passed, on whichever clock it is more: one of them may stand still while a machine sleeps. */
function startStopwatch(clock: Clock): () => number {
  const begin = { monotonicMs: performance.now(), wallMs: clock.now().getTime() };
  return () => Math.max(performance.now() - begin.monotonicMs, clock.now().getTime() - begin.wallMs);
}
