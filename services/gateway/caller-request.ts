import { type ClientHttp2Stream, constants, type ServerHttp2Stream } from "node:http2";
import type { GatewayLimits } from "./limits.ts";
import { Replay } from "./replay.ts";

export interface CallerRequestOptions {
  readonly stream: ServerHttp2Stream;
  /** Whether it ended with its headers. */
  readonly endStream: boolean;
  readonly limits: Pick<GatewayLimits, "replayBytes">;
  /** Some of it came. */
  readonly onBytes: () => void;
}

/**
 * What a caller sends: read at the pace of the backend that takes it, and held, while it is little and nobody has begun
 * to answer, for another backend.
 */
export class CallerRequest {
  readonly #stream: ServerHttp2Stream;
  readonly #replay: Replay;
  readonly #onBytes: () => void;
  #backend: ClientHttp2Stream | undefined;
  #reading = false;
  #answered = false;
  ended: boolean;
  bytes = 0;

  constructor({ stream, endStream, limits, onBytes }: CallerRequestOptions) {
    this.#stream = stream;
    this.#replay = new Replay(limits.replayBytes);
    this.#onBytes = onBytes;
    this.ended = endStream;
  }

  /** Whether all that came is held, so that it can be sent to another backend. */
  get held(): boolean {
    return this.#replay.whole;
  }

  /** Whether it is no more than its headers. */
  get empty(): boolean {
    return this.ended && this.#replay.isEmpty();
  }

  /** Sends it to a backend, whose stream was ended at once if it is empty: what came so far, and then what comes. */
  sendTo(backend: ClientHttp2Stream): void {
    this.#backend = backend;
    backend.on("drain", () => this.#stream.resume());
    for (const chunk of this.#replay.chunks()) backend.write(chunk);
    if (this.ended && !this.empty) backend.end();
    if (this.#reading || this.empty) this.#stream.resume();
    else this.#read();
  }

  /** Takes it away from its backend, to be sent to another. Nothing is read while there is nobody to write it to. */
  hold(): void {
    this.#backend = undefined;
    this.#stream.pause();
  }

  /** An answer begins: it will not be sent again. */
  drop(): void {
    this.#replay.drop();
  }

  /** The answer is complete, so that nobody reads it. Read on: a pause that nothing ends would hide the caller's end. */
  discard(): void {
    this.#answered = true;
    this.#replay.drop();
    this.#stream.resume();
  }

  #read(): void {
    const stream = this.#stream;
    this.#reading = true;
    stream.on("data", (chunk: Buffer) => {
      if (this.#answered) return;
      this.#onBytes();
      this.bytes += chunk.length;
      this.#replay.keep(chunk);
      if (this.#backend?.write(chunk) === false) stream.pause();
    });
    stream.once("end", () => {
      // A caller that resets its stream ends it too. That must never look like the end of a request to a backend.
      if (stream.aborted || stream.rstCode !== constants.NGHTTP2_NO_ERROR) return;
      this.ended = true;
      this.#backend?.end();
    });
  }
}
