import { OperatorError } from "./operator-error.ts";

/** Thrown when the operator gave up before the shop was ready. */
class InterruptedError extends OperatorError {
  constructor() {
    super("interrupted", { exitCode: 130 });
    this.name = "InterruptedError";
  }
}

/** Throws InterruptedError once the signal has aborted. */
export function throwIfInterrupted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new InterruptedError();
}

/** Settles as `work` does, or rejects with InterruptedError when the signal aborts first. */
export async function interruptible<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  work.catch(() => undefined); // what comes of it after an interruption is of no interest
  throwIfInterrupted(signal);
  const listening = new AbortController();
  const interrupted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(new InterruptedError()), { once: true, signal: listening.signal });
  });
  return Promise.race([work, interrupted]).finally(() => listening.abort());
}
