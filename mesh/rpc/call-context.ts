import type { Logger } from "pino";
import { epochMs } from "#mesh/clock.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { bearerToken, type Call, type MethodInfo, type OwnCall, type TraceContext, type User } from "#mesh/rpc/call.ts";
import { deadlineExceeded } from "#mesh/rpc/status.ts";
import { newSpan } from "#mesh/rpc/trace.ts";

/** The longest delay that a Node timer takes; a longer one would fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

export interface CallInit {
  readonly method: MethodInfo;
  readonly deadline: number;
  readonly caller: string;
  readonly user: User | undefined;
  readonly token: string | undefined;
  /** Reads the address when it is first asked for. */
  readonly clientAddress: () => string;
  readonly trace: TraceContext;
  /** Makes the log of the call when it is first asked for. */
  readonly log: () => Logger;
}

/** Is told when a call is over before its time, once. */
export interface AbortListener {
  onAbort(reason: Error): void;
}

/**
 * The `Call` that the mesh makes. A signal costs 10 µs, a tenth of a call, so it is made when somebody reads it; the
 * mesh itself listens without one.
 */
export class CallContext implements OwnCall {
  readonly method: MethodInfo;
  readonly deadline: number;
  readonly caller: string;
  readonly user: User | undefined;
  readonly trace: TraceContext;
  readonly [bearerToken]: string | undefined;
  readonly #clientAddress: () => string;
  readonly #makeLog: () => Logger;
  #log: Logger | undefined;
  #controller: AbortController | undefined;
  #abortReason: Error | undefined;
  #listeners: Set<AbortListener> | undefined;
  #release: (() => void) | undefined;

  constructor(init: CallInit) {
    this.method = init.method;
    this.deadline = init.deadline;
    this.caller = init.caller;
    this.user = init.user;
    this.trace = init.trace;
    this[bearerToken] = init.token;
    this.#clientAddress = init.clientAddress;
    this.#makeLog = init.log;
  }

  get clientAddress(): string {
    return this.#clientAddress();
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  get log(): Logger {
    this.#log ??= this.#makeLog();
    return this.#log;
  }

  /** Why the call is over; undefined while it is not. */
  get abortReason(): Error | undefined {
    return this.#abortReason;
  }

  /** Aborts the signal and tells the listeners. Later reasons are ignored. */
  abort(reason: Error): void {
    if (this.#abortReason !== undefined) return;
    this.#abortReason = reason;
    this.#controller?.abort(reason);
    for (const listener of this.#listeners ?? []) listener.onAbort(reason);
    this.#listeners = undefined;
  }

  /** Takes what is to be freed when the call is done. */
  holds(release: () => void): void {
    this.#release = release;
  }

  done(): void {
    this.#release?.();
    this.#release = undefined;
  }

  /** Listens until it is told or leaves. A call that is already over tells nobody: look at `abortReason` first. */
  listen(listener: AbortListener): void {
    this.#listeners ??= new Set();
    this.#listeners.add(listener);
  }

  leave(listener: AbortListener): void {
    this.#listeners?.delete(listener);
  }
}

/** What stands behind a `Call`. Throws for one that the mesh did not make, such as a copy, which would never end. */
export function contextOf(call: Call): CallContext {
  if (call instanceof CallContext) return call;
  throw new TypeError("not a Call of the mesh: pass on the one you were given, or narrow it with withTimeout");
}

export interface BackgroundOptions {
  /** What the work is, for logs: `expire-reservations`. */
  readonly name: string;
  readonly timeoutMs: number;
  /** Ends the work early. */
  readonly signal?: AbortSignal;
  /** The token of an end user on whose behalf the work is done. */
  readonly token?: string;
  /** The address of whom the gateway does it for. */
  readonly clientAddress?: string;
}

/** A call for work that nobody asked for. Its timer does not keep the process alive, and runs until it is `done`. */
export function backgroundCall(options: BackgroundOptions, log: Logger): OwnCall {
  const { name, timeoutMs, signal, token, clientAddress = "" } = options;
  const trace = newSpan(undefined);
  const context = new CallContext({
    method: backgroundMethod(name),
    deadline: epochMs() + timeoutMs,
    caller: "",
    user: undefined,
    token,
    clientAddress: () => clientAddress,
    trace,
    log: () => log.child({ background: name, traceId: trace.traceId }),
  });
  abortLater(context, timeoutMs, signal);
  return context;
}

/** The same call with less time: `timeoutMs` from now, or its own deadline when that comes first. */
export function withTimeout(call: Call, timeoutMs: number): OwnCall {
  const now = epochMs();
  const deadline = Math.min(call.deadline, now + timeoutMs);
  const { method, caller, user, trace } = call;
  const token = call[bearerToken];
  const [clientAddress, log] = [() => call.clientAddress, () => call.log];
  const context = new CallContext({ method, deadline, caller, user, trace, token, clientAddress, log });
  abortLater(context, deadline - now, call.signal);
  return context;
}

/** Aborts when the time is up, or with `parent`. */
function abortLater(context: CallContext, timeoutMs: number, parent: AbortSignal | undefined): void {
  const release = () => {
    clearTimeout(timer);
    parent?.removeEventListener("abort", onParentAbort);
  };
  const onTimeout = () => {
    context.done();
    context.abort(deadlineExceeded(context.method.path, false));
  };
  const onParentAbort = () => {
    context.done();
    context.abort(asError(parent?.reason));
  };
  const timer = setTimeout(onTimeout, Math.min(Math.max(timeoutMs, 0), MAX_TIMER_MS)).unref();
  context.holds(release);
  if (parent?.aborted) onParentAbort();
  else parent?.addEventListener("abort", onParentAbort, { once: true });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : meshFailure("CANCELLED", "the work was cancelled");
}

function backgroundMethod(name: string): MethodInfo {
  const refuse = (): never => {
    throw new TypeError(`background work (${name}) has no request and no response`);
  };
  return {
    service: "background",
    name,
    path: `background/${name}`,
    idempotency: "UNKNOWN",
    encodeRequest: refuse,
    encodeResponse: refuse,
    decodeResponse: refuse,
  };
}
