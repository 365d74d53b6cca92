import { Metadata, ServerInterceptingCall, type ServerInterceptingCallInterface, status } from "@grpc/grpc-js";
import { meshFailure, type RpcError } from "#mesh/contract/errors.ts";
import { encodeFailure, type WireStatus } from "#mesh/rpc/status.ts";

/** What becomes of a call, told to its owner; each at most once but for `begin`, which comes first. */
export interface ServerCallEvents<State> {
  /** The headers are there. */
  begin(call: ServerCall<State>): void;
  /** grpc-js would end the call by itself, with this status. The owner says how instead, by `call.fail`. */
  refused(call: ServerCall<State>, refusal: Refusal): void;
  /** The caller gave up, or its connection broke. There is nobody to answer. */
  cancelled(call: ServerCall<State>): void;
}

/** Who is told of a call by grpc-js, which does not export the type. */
type Listener = Parameters<ServerInterceptingCallInterface["start"]>[0];

/** A status that grpc-js made. */
export interface Refusal {
  readonly code: number;
  readonly details: string;
}

/**
 * One incoming call as bytes: requests are pulled one at a time, responses are pushed one at a time, and the call ends
 * exactly once. All four kinds of method are made of these.
 *
 * It sits directly on the interface that grpc-js gives to server interceptors, which is cheaper than the streams and
 * emitters that grpc-js builds for its own handlers, and pulls, where they push. The status of every end, also of
 * those that grpc-js decides on by itself (its deadline timer, a message over the limit), goes through here, so that
 * each carries an `ErrorInfo`.
 */
export class ServerCall<State> implements Listener {
  /** What the owner keeps of the call. */
  readonly state: State;
  metadata: Metadata = noMetadata;
  /** Whether the call has ended; what is read or written from then on rejects with `endReason`. */
  ended = false;
  endReason: Error | undefined;
  readonly #wire: ServerInterceptingCallInterface;
  readonly #sendStatus: ServerInterceptingCallInterface["sendStatus"];
  readonly #service: string;
  readonly #events: ServerCallEvents<State>;
  #timer: NodeJS.Timeout | undefined;
  #waiting: Waiting<Buffer | undefined> | undefined;
  #writing: Waiting<void> | undefined;
  #only: Waiting<Buffer> | undefined;
  #single: Buffer | undefined;
  #onEnd: (() => void) | undefined;

  constructor(wire: ServerInterceptingCallInterface, service: string, state: State, events: ServerCallEvents<State>) {
    this.state = state;
    this.#service = service;
    this.#events = events;
    this.#wire = wire;
    this.#sendStatus = wire.sendStatus;
    // grpc-js ends calls through its own method; an instance's property of that name comes first.
    wire.sendStatus = (refusal) => {
      if (!this.ended) events.refused(this, refusal);
    };
    wire.start(this);
  }

  // What grpc-js tells. The call itself listens: four closures for each would be more than all else that it holds.

  onReceiveMetadata(metadata: Metadata): void {
    this.metadata = metadata;
    this.#events.begin(this);
  }

  onCancel(): void {
    if (!this.ended) this.#events.cancelled(this);
  }

  onReceiveMessage(bytes: Buffer): void {
    if (this.#only === undefined) {
      this.#settleRead(bytes);
    } else if (this.#single === undefined) {
      this.#single = bytes;
      this.#wire.startRead(); // only the end of the stream tells that it was the only one
    } else {
      this.#only.reject(meshFailure("INVALID_REQUEST", "the method takes one request message, and more came"));
    }
  }

  onReceiveHalfClose(): void {
    if (this.#only === undefined) {
      // The turn of I/O after the timer sees a cancel that is already in the socket.
      setTimeout(() => setImmediate(() => this.#settleRead(undefined)), HALF_CLOSE_GRACE_MS);
    } else if (this.#single === undefined) {
      this.#only.reject(meshFailure("INVALID_REQUEST", "the call came without a request message"));
    } else {
      this.#only.resolve(this.#single);
    }
  }

  /** The caller's deadline in epoch milliseconds; infinite when it set none. */
  get callerDeadline(): number {
    const deadline = this.#wire.getDeadline();
    return typeof deadline === "number" ? deadline : deadline.getTime();
  }

  /** The connection that it came over; undefined once that has gone. */
  get connection(): object | undefined {
    // grpc-js tells of it only what would have to be read from the certificate at every call.
    const stream: unknown = "stream" in this.#wire ? this.#wire.stream : undefined;
    if (typeof stream !== "object" || stream === null || !("session" in stream)) return undefined;
    const { session } = stream;
    return typeof session === "object" && session !== null ? session : undefined;
  }

  /** Runs `onTimeout` after `delayMs`, unless the call has ended by then. */
  setTimer(delayMs: number, onTimeout: (call: ServerCall<State>) => void): void {
    this.#timer = setTimeout(onTimeout, delayMs, this);
  }

  /** Runs `action` when the call ends, at once when it has. Holds one action. */
  onEnd(action: () => void): void {
    if (this.ended) action();
    else this.#onEnd = action;
  }

  /** The next request; undefined when the caller has sent its last. One read at a time. */
  read(): Promise<Buffer | undefined> {
    return new Promise((resolve, reject) => {
      if (this.ended) return reject(this.endReason);
      this.#waiting = { resolve, reject };
      this.#wire.startRead();
    });
  }

  /** The one request of a method that takes one. Rejects with INVALID_REQUEST when the caller sends none, or more. */
  readOnly(): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.ended) return reject(this.endReason);
      this.#only = { resolve, reject };
      this.#wire.startRead();
    });
  }

  #settleRead(bytes: Buffer | undefined): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(bytes);
  }

  /** Sends a response; resolves when the transport has taken it, so that a slow caller slows the writer down. */
  write(bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.ended) return reject(this.endReason);
      this.#writing = { resolve, reject };
      this.#wire.sendMessage(bytes, resolve);
    });
  }

  /** Ends the call well, with a last response when there is one. Returns false when it had ended before. */
  succeed(bytes?: Buffer): boolean {
    if (!this.#end(finished)) return false;
    if (bytes !== undefined) this.#wire.sendMessage(bytes, ignore);
    this.#sendStatus.call(this.#wire, OK);
    return true;
  }

  /** Ends the call with a failure. Returns false when it had ended before. */
  fail(failure: RpcError): boolean {
    if (!this.#end(failure)) return false;
    const { code, details, metadata }: WireStatus = encodeFailure(failure, this.#service);
    this.#sendStatus.call(this.#wire, { code, details, metadata });
    return true;
  }

  /** Ends the call without an answer. Returns false when it had ended before. */
  abandon(failure: RpcError): boolean {
    return this.#end(failure);
  }

  #end(reason: Error): boolean {
    if (this.ended) return false;
    this.ended = true;
    this.endReason = reason;
    clearTimeout(this.#timer);
    this.#only?.reject(reason);
    this.#waiting?.reject(reason);
    this.#writing?.reject(reason);
    this.#onEnd?.();
    return true;
  }
}

/**
 * How long the end of a stream of requests is held back. A Node client that cancels sends that very end first, and the
 * cancel in a packet of its own a moment later: without waiting for it, half a stream would be taken for the whole.
 */
const HALF_CLOSE_GRACE_MS = 10;

interface Waiting<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (reason: unknown) => void;
}

const noMetadata = new Metadata();
const finished = new Error("the call has been answered");
const OK = { code: status.OK, details: "", metadata: null };
const ignore = (): void => {};

/**
 * What an interceptor returns to take a call over: grpc-js starts it with the listener of its own handler, which is
 * never called, because the call is handed to its new owner instead.
 */
export class TakenOverCall extends ServerInterceptingCall {
  readonly #wire: ServerInterceptingCallInterface;
  readonly #own: (wire: ServerInterceptingCallInterface) => void;

  constructor(wire: ServerInterceptingCallInterface, own: (wire: ServerInterceptingCallInterface) => void) {
    super(wire);
    this.#wire = wire;
    this.#own = own;
  }

  override start(): void {
    this.#own(this.#wire);
  }
}
