import { type CallFailure, methodName, type UnaryMethod } from "../../e2e/support/wire.ts";

/** Counts what calls do, and times those that end in the window. */
export interface Recorder {
  /** Epoch milliseconds. */
  readonly beginTimeMs: number;
  readonly endTimeMs: number;
  /** Epoch milliseconds, with fractions. */
  now(): number;
  succeeded(method: UnaryMethod<never, unknown>, startMs: number): void;
  failed(failure: CallFailure): void;
  readonly latenciesMs: Readonly<Record<string, readonly number[]>>;
  readonly failures: Readonly<Record<string, number>>;
}

export function createRecorder(window: { readonly warmUpSeconds: number; readonly seconds: number }): Recorder {
  const now = (): number => performance.timeOrigin + performance.now();
  const beginTimeMs = now() + window.warmUpSeconds * 1000;
  const endTimeMs = beginTimeMs + window.seconds * 1000;
  const latenciesMs: Record<string, number[]> = {};
  const failures: Record<string, number> = {};
  return {
    beginTimeMs,
    endTimeMs,
    now,
    succeeded(method, startMs) {
      const endMs = now();
      if (endMs < beginTimeMs || endMs >= endTimeMs) return;
      const name = methodName(method.path);
      latenciesMs[name] ??= [];
      latenciesMs[name].push(endMs - startMs);
    },
    failed({ method, code, reason }) {
      const name = `${method} ${code} ${reason}`.trim();
      failures[name] = (failures[name] ?? 0) + 1;
    },
    latenciesMs,
    failures,
  };
}
