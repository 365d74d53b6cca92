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

/** Lines as bytes. */
interface Chunk {
  readonly bytes: Uint8Array;
  readonly lines: number;
}

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
  #waiting: Chunk[] = [];
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
    if (!this.#flushIsDue) this.#flushSoon();
  }

  #flushSoon(): void {
    this.#flushIsDue = true;
    setTimeout(() => {
      this.#flushIsDue = false;
      // When the reader is behind, a chunk that is not full would only take the place of one that is.
      if (this.#waiting.length === 0) this.#seal();
      else this.#flushSoon();
    }, FLUSH_INTERVAL_MS).unref();
  }

  flushSync(): void {
    // What is under way is finished before the process is gone: Node waits for it.
    const left = (this.#writing ? this.#waiting.slice(1) : this.#waiting).map(({ bytes }) => bytes);
    if (!this.#closed) writeAll(this.#sink, Buffer.concat([...left, this.#chunk.subarray(0, this.#used)]));
    this.#closed = true;
  }

  #append(line: string): void {
    const mostBytes = line.length * MAX_BYTES_PER_CHAR;
    if (this.#used + mostBytes > CHUNK_BYTES) this.#seal();
    if (mostBytes > CHUNK_BYTES) {
      this.#enqueue({ bytes: Buffer.from(line), lines: 1 });
    } else {
      this.#used += this.#chunk.write(line, this.#used);
      this.#lines += 1;
    }
  }

  /** Closes the chunk that is being filled, so that it is written. */
  #seal(): void {
    if (this.#used === 0) return;
    this.#enqueue({ bytes: this.#chunk.subarray(0, this.#used), lines: this.#lines });
    this.#chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    this.#used = 0;
    this.#lines = 0;
  }

  #enqueue(chunk: Chunk): void {
    if (this.#waiting.length < MAX_WAITING_CHUNKS) this.#waiting.push(chunk);
    else this.#dropped += chunk.lines;
    this.#pump();
  }

  #pump(): void {
    const [next] = this.#waiting;
    if (this.#writing || next === undefined) return;
    this.#writing = true;
    this.#sink.write(next.bytes, (error, written) => {
      this.#writing = false;
      if (error === null) this.#taken(next, written);
      else if (error.code === "EAGAIN") setTimeout(() => this.#pump(), RETRY_MS).unref();
      else if (error.code === "EPIPE") this.#close();
      else this.#refused(next);
    });
  }

  #taken({ bytes, lines }: Chunk, written: number): void {
    if (written < bytes.length) this.#waiting[0] = { bytes: bytes.subarray(written), lines };
    else this.#waiting.shift();
    if (this.#dropped > 0 && this.#waiting.length === 0) {
      const msg = "lines were dropped: the log was not taken fast enough, or could not be written";
      const told = JSON.stringify({ level: "warn", dropped: this.#dropped, msg });
      this.#dropped = 0;
      this.write(`${told}\n`);
    }
    this.#pump();
  }

  /** A disk may be full now, and have room again later: these lines are lost, and the next ones are tried. */
  #refused({ lines }: Chunk): void {
    this.#waiting.shift();
    this.#dropped += lines;
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
