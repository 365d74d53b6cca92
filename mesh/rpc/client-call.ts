import { type ChannelInterface, type Metadata, type StatusObject, status } from "@grpc/grpc-js";
import { isReason } from "#mesh/contract/errors.ts";
import type { AbortListener, CallContext } from "#mesh/rpc/call-context.ts";

/** How an outgoing call is begun. */
export interface ClientCallInit {
  readonly channel: ChannelInterface;
  readonly path: string;
  /** Epoch milliseconds. */
  readonly deadline: number;
  readonly metadata: Metadata;
  /** The call for which this one is made: it ends with it. Not over yet. */
  readonly parent: CallContext;
}

/** How a call ended that is answered once; the message is undefined when none came. */
export interface Outcome {
  readonly message: Buffer | undefined;
  readonly end: StatusObject;
}

/**
 * One outgoing call as bytes: messages are written and read one at a time, each waiting for the transport. All four
 * kinds of method are made of these.
 *
 * It sits on grpc-js's channel, below the client class with its streams, emitters and stack traces: that costs less
 * for each call, and gives flow control with no buffer in between.
 */
export class ClientCall implements AbortListener {
  readonly #wire: ReturnType<ChannelInterface["createCall"]>;
  readonly #parent: CallContext;
  #end: StatusObject | undefined;
  #message: Buffer | undefined;
  #reading: ((received: Buffer | StatusObject) => void) | undefined;
  #writing: ((taken: boolean) => void) | undefined;
  #finishing: ((outcome: Outcome) => void) | undefined;

  constructor({ channel, path, deadline, metadata, parent }: ClientCallInit) {
    this.#parent = parent;
    this.#wire = channel.createCall(path, deadline, null, null, null);
    this.#wire.start(metadata, {
      onReceiveMetadata: ignore,
      onReceiveMessage: (bytes: Buffer) => this.#onMessage(bytes),
      onReceiveStatus: (end) => this.#onStatus(end),
    });
    parent.listen(this);
  }

  /** Sends the only request of a call. */
  sendOnly(bytes: Buffer): void {
    this.#wire.sendMessageWithContext({}, bytes);
    this.#wire.halfClose();
  }

  /**
   * Sends one of many requests; resolves when the transport has taken it, with false when no more are wanted: the
   * call has ended, or the only answer has come. (grpc-js lets a write that crosses the end of a call turn its
   * success into a failure.)
   */
  write(bytes: Buffer): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.#isOver()) return resolve(false);
      this.#writing = resolve;
      this.#wire.sendMessageWithContext({ callback: () => resolve(!this.#isOver()) }, bytes);
    });
  }

  /** Tells that no further request comes. */
  endWrites(): void {
    if (!this.#isOver()) this.#wire.halfClose();
  }

  /** Waits for the only response and the end of the call. */
  receiveOnly(): Promise<Outcome> {
    return new Promise((resolve) => {
      if (this.#end !== undefined) return resolve({ message: undefined, end: this.#end });
      this.#finishing = resolve;
      this.#wire.startRead();
    });
  }

  /** One of many responses, or the status when no more come. One read at a time. */
  receive(): Promise<Buffer | StatusObject> {
    return new Promise((resolve) => {
      if (this.#end !== undefined) return resolve(this.#end);
      this.#reading = resolve;
      this.#wire.startRead();
    });
  }

  /** Gives the call up, unless it has ended. */
  cancel(): void {
    if (this.#end === undefined) this.#wire.cancelWithStatus(status.CANCELLED, "cancelled by the caller");
  }

  #isOver(): boolean {
    return this.#end !== undefined || this.#message !== undefined;
  }

  #onMessage(bytes: Buffer): void {
    const reading = this.#reading;
    this.#reading = undefined;
    if (reading !== undefined) {
      reading(bytes);
    } else {
      this.#message = bytes;
      this.#writing?.(false);
    }
  }

  #onStatus(end: StatusObject): void {
    this.#end = end;
    this.#parent.leave(this);
    this.#writing?.(false);
    this.#reading?.(end);
    this.#finishing?.({ message: this.#message, end });
  }

  onAbort(reason: Error): void {
    const code = isReason(reason, "DEADLINE_EXCEEDED") ? status.DEADLINE_EXCEEDED : status.CANCELLED;
    this.#wire.cancelWithStatus(code, "the call that this one was made for has ended");
  }
}

const ignore = (): void => {};
