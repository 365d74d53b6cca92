import { deferred } from "./deferred.ts";
import { messageOf, OperatorError } from "./operator-error.ts";

/** What tells the supervisor to stop. */
export interface StopSignals {
  /** Aborts at the first wish to stop. */
  readonly stop: AbortSignal;
  /** Aborts at the second. */
  readonly hasten: AbortSignal;
  /** Settles with the first wish, in words. */
  readonly stopped: Promise<string>;
  /** The error that nobody caught, when that is why. */
  defect(): OperatorError | undefined;
  /** Listens no longer. */
  close(): void;
}

// npm passes a Ctrl-C on that we had from the terminal already: two signals so close are one wish.
const sameWishMs = 400;
const parentPollMs = 500;
const signalNames = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Listens to SIGINT, SIGTERM and SIGHUP, to the loss of the shell under which npm started us (when npm is ended, it ends
 * that shell and tells us nothing), and to errors that nobody caught.
 */
export function watchStopSignals(): StopSignals {
  const stop = new AbortController();
  const hasten = new AbortController();
  let firstAt = 0;
  let defect: OperatorError | undefined;
  const stopped = deferred<string>();
  const onWish = (reason: string): void => {
    if (!stop.signal.aborted) {
      firstAt = performance.now();
      stopped.resolve(reason);
      stop.abort();
    } else if (performance.now() - firstAt > sameWishMs) {
      hasten.abort();
    }
  };
  const onDefect = (error: unknown): void => {
    const details = error instanceof Error ? (error.stack ?? "").split("\n").slice(1, 6) : [];
    defect ??= new OperatorError(`a defect in shopmesh itself: ${messageOf(error)}`, { details, cause: error });
    onWish("defect");
  };
  for (const name of signalNames) process.on(name, onWish);
  process.on("uncaughtException", onDefect);
  const parentWatch = watchParent(() => onWish("the shell that started this is gone"));
  return {
    stop: stop.signal,
    hasten: hasten.signal,
    stopped: stopped.promise,
    defect: () => defect,
    close() {
      clearInterval(parentWatch);
      for (const name of signalNames) process.off(name, onWish);
      process.off("uncaughtException", onDefect);
    },
  };
}

// Only under npm: whoever puts us into the background on purpose may well go away.
function watchParent(onLoss: () => void): NodeJS.Timeout | undefined {
  if (process.env.npm_lifecycle_event === undefined) return undefined;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    onLoss();
  }, parentPollMs);
  return timer.unref();
}
