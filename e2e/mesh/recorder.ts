import type { CallFailure } from "../support/wire.ts";

/** What came of one call. */
export interface CallRecord {
  /** What was being done to the shop when the call began; undefined when nothing was. */
  readonly phase: string | undefined;
  readonly client: ClientKind;
  /** By the contract: it reads, or changes something and may be repeated, or may not be repeated. */
  readonly kind: CallKind;
  /** `PlaceOrder`. */
  readonly method: string;
  readonly durationMs: number;
  /** `UNAVAILABLE SERVICE_UNAVAILABLE: …`; undefined when it succeeded. */
  readonly failure: string | undefined;
}

/** Whether a client sends again what it may: as gRPC clients do that are told nothing, or as the README tells callers. */
export type ClientKind = "plain" | "retrying";

export type CallKind = "read" | "write" | "once only";

/** Keeps what came of every call, by what was being done to the shop when it began. */
export interface Recorder {
  /** From now on calls belong to this phase; to none when it is undefined. */
  enter(phase: string | undefined): void;
  /** Notes a call that begins now. The function that it returns is to be told its end. */
  begin(call: Pick<CallRecord, "client" | "kind" | "method">): (failure: CallFailure | undefined) => void;
  readonly calls: readonly CallRecord[];
}

export function createRecorder(): Recorder {
  const calls: CallRecord[] = [];
  let current: string | undefined;
  return {
    calls,
    enter(phase) {
      current = phase;
    },
    begin(call) {
      const phase = current;
      const beginMs = performance.now();
      return (failure) =>
        void calls.push({ ...call, phase, durationMs: performance.now() - beginMs, failure: describe(failure) });
    },
  };
}

function describe(failure: CallFailure | undefined): string | undefined {
  return failure && `${failure.code} ${failure.reason}: ${failure.message}`.replace(" :", ":");
}
