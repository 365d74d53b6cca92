import { write, writeSync } from "node:fs";

/** Where lines go; takes each at once and never throws. */
export interface LineOutput {
  write(line: string): void;
  /** Writes what is left before the process ends. */
  flushSync(): void;
}

/** A file, a pipe or a terminal, as bytes. Both tell how many of them were taken. */
export interface Sink {
  write(bytes: Uint8Array, done: (error: NodeJS.ErrnoException | null, written: number) => void): void;
  writeSync(bytes: Uint8Array): number;
}

/** Lines are gathered up to this size: one write for some two hundred calls, which else cost more than the lines. */
const CHUNK_BYTES = 64 * 1024;
/** A line waits no longer than this for others. What is left is written at exit; a kill loses it. */
const FLUSH_INTERVAL_MS = 100;
/** Chunks that may wait for a reader that is slow, 8 MiB in all. Beyond that lines are dropped, and counted. */
const MAX_WAITING_CHUNKS = 128;
/** How soon a full pipe is tried again. */
const RETRY_MS = 10;
/** How long a full pipe may hold up the end of the process. */
const MAX_EXIT_WAIT_MS = 1_000;
/** The most that one UTF-16 unit takes in UTF-8. */
const MAX_BYTES_PER_CHAR = 3;

export function fileSink(fd: number): Sink {
  return {
    write: (bytes, done) => write(fd, bytes, 0, bytes.length, null, done),
    writeSync: (bytes) => writeSync(fd, bytes),
  };
}

/**
 * Gathers lines in memory and writes them in the background. Each is turned into bytes when it comes: kept as strings
 * until they are written, they outlive a collection of garbage or two, which costs ten times as much as writing them.
 */
class BufferedLines implements LineOutput {
  readonly #sink: Sink;
  /** The chunk that is being filled, how far, and with how many lines. */
  #chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  #used = 0;
  #lines = 0;
  /** Full chunks, the first of which may be under way. */
  #waiting: Uint8Array[] = [];
  #writing = false;
  #dropped = 0;
  #flushIsDue = false;
  /** Nobody reads any more. */
  #closed = false;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  write(line: string): void {
    if (this.#closed) return;
    this.#append(line);
    if (this.#flushIsDue) return;
    this.#flushIsDue = true;
    setTimeout(() => {
      this.#flushIsDue = false;
      this.#seal();
    }, FLUSH_INTERVAL_MS).unref();
  }

  flushSync(): void {
    // What is under way is finished before the process is gone: Node waits for it.
    const left = this.#writing ? this.#waiting.slice(1) : this.#waiting;
    if (!this.#closed) writeAll(this.#sink, Buffer.concat([...left, this.#chunk.subarray(0, this.#used)]));
    this.#closed = true;
  }

  #append(line: string): void {
    const mostBytes = line.length * MAX_BYTES_PER_CHAR;
    if (this.#used + mostBytes > CHUNK_BYTES) this.#seal();
    if (mostBytes > CHUNK_BYTES) {
      this.#enqueue(Buffer.from(line), 1);
    } else {
      this.#used += this.#chunk.write(line, this.#used);
      this.#lines += 1;
    }
  }

  /** Closes the chunk that is being filled, so that it is written. */
  #seal(): void {
    if (this.#used === 0) return;
    this.#enqueue(this.#chunk.subarray(0, this.#used), this.#lines);
    this.#chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    this.#used = 0;
    this.#lines = 0;
  }

  #enqueue(bytes: Uint8Array, lines: number): void {
    if (this.#waiting.length < MAX_WAITING_CHUNKS) this.#waiting.push(bytes);
    else this.#dropped += lines;
    this.#pump();
  }

  #pump(): void {
    const [next] = this.#waiting;
    if (this.#writing || next === undefined) return;
    this.#writing = true;
    this.#sink.write(next, (error, written) => {
      this.#writing = false;
      if (error === null) this.#taken(next, written);
      else if (error.code === "EAGAIN") setTimeout(() => this.#pump(), RETRY_MS).unref();
      else this.#close();
    });
  }

  #taken(bytes: Uint8Array, written: number): void {
    if (written < bytes.length) this.#waiting[0] = bytes.subarray(written);
    else this.#waiting.shift();
    if (this.#dropped > 0 && this.#waiting.length === 0) {
      const msg = "lines were dropped: the reader of the log is too slow";
      this.#append(`${JSON.stringify({ level: "warn", dropped: this.#dropped, msg })}\n`);
      this.#dropped = 0;
    }
    this.#pump();
  }

  #close(): void {
    this.#closed = true;
    this.#waiting = [];
    this.#used = 0;
  }
}

export function createLineOutput(sink: Sink): LineOutput {
  return new BufferedLines(sink);
}

function writeAll(sink: Sink, bytes: Uint8Array): void {
  let left = bytes;
  let waitedMs = 0;
  while (left.length > 0 && waitedMs < MAX_EXIT_WAIT_MS) {
    try {
      left = left.subarray(sink.writeSync(left));
    } catch (error) {
      if (!(error instanceof Error) || !("code" in error) || error.code !== "EAGAIN") return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
      waitedMs += RETRY_MS;
    }
  }
}
