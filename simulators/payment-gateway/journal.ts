import { readSync } from "node:fs";
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";

/** The most one entry may measure, in bytes. */
const MAX_ENTRY_BYTES = 64 * 1024;
const SCAN_CHUNK_BYTES = 1024 * 1024;
/** What most entries fit into, so that one read fetches one. */
const READ_CHUNK_BYTES = 2048;
const NEWLINE = 0x0a;
const HEADER = JSON.stringify({ format: "payment-gateway-journal", version: 1 });

/**
 * An append-only file of entries, each one line of text behind its checksum. Entries that were flushed survive
 * a killed process and a lost power supply; an entry that was being written then is dropped at the next start.
 */
export interface Journal {
  /** Adds an entry and returns its position, by which it can be read at once. It is durable after `flushed`. */
  append(text: string): number;
  /** The entry at a position that `append` returned or the opening reported. */
  read(position: number): string;
  /** Resolves when all that was appended until now is durable. Rejects, for ever, once a write failed. */
  flushed(): Promise<void>;
  close(): Promise<void>;
}

export interface OpenedJournal {
  readonly journal: Journal;
  /** Bytes of a torn last entry that were cut off. */
  readonly tornBytes: number;
}

/**
 * Opens a journal, making it and its folder when missing, and reports every entry in order.
 *
 * @throws when the file is not a journal, is damaged before its end, or cannot be read or written
 */
export async function openJournal(
  path: string,
  onEntry: (text: string, position: number) => void,
): Promise<OpenedJournal> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, "a+");
  try {
    const { size } = await file.stat();
    const end = scan({ file, path, size }, onEntry);
    if (end === 0) checkTornHeader(file, path);
    if (end < size) await file.truncate(end);
    const journal = createJournal(file, path, end);
    if (end === 0) {
      journal.append(HEADER);
      await journal.flushed();
      await syncFolder(dirname(path));
    }
    return { journal, tornBytes: size - end };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Goes through the file once and returns where its last whole entry ends. */
function scan(
  { file, path, size }: { readonly file: FileHandle; readonly path: string; readonly size: number },
  onEntry: (text: string, position: number) => void,
): number {
  const chunk = Buffer.alloc(SCAN_CHUNK_BYTES);
  let rest = Buffer.alloc(0);
  let position = 0;
  while (position + rest.length < size) {
    const count = readSync(file.fd, chunk, 0, chunk.length, position + rest.length);
    if (count === 0) break;
    const data = Buffer.concat([rest, chunk.subarray(0, count)]);
    let start = 0;
    for (let end = data.indexOf(NEWLINE); end !== -1; end = data.indexOf(NEWLINE, start)) {
      const text = decodeLine(data.subarray(start, end));
      const last = position + (end + 1 - start) === size;
      if (text === undefined && last) return position;
      if (text === undefined) throw new Error(`${path} is damaged at byte ${position}`);
      if (position === 0 && text !== HEADER) throw new Error(`${path} is not a journal of this version`);
      if (position > 0) onEntry(text, position);
      position += end + 1 - start;
      start = end + 1;
    }
    rest = Buffer.from(data.subarray(start));
    if (rest.length > MAX_ENTRY_BYTES) throw new Error(`${path} is damaged at byte ${position}`);
  }
  return position;
}

/** Cutting off a torn header must not empty a file that was never a journal. */
function checkTornHeader(file: FileHandle, path: string): void {
  const line = encodeLine(HEADER);
  const start = Buffer.alloc(line.length + 1);
  const count = readSync(file.fd, start, 0, start.length, 0);
  if (!line.subarray(0, count).equals(start.subarray(0, count))) throw new Error(`${path} is not a journal`);
}

function createJournal(file: FileHandle, path: string, size: number): Journal {
  const unwritten = new Map<number, string>();
  let waiting: Buffer[] = [];
  const flushes = createFlushes();
  let tail = size;
  let durable = size;
  let failure: Error | undefined;
  let writing = false;

  // One batch at a time: whatever is appended while one is on its way to the disk goes with the next, so that many
  // entries share the price of one flush.
  async function writeAll(): Promise<void> {
    writing = true;
    try {
      while (waiting.length > 0) {
        const batch = Buffer.concat(waiting);
        waiting = [];
        await writeBatch(file, path, batch, durable);
        durable += batch.length;
        for (const position of unwritten.keys()) {
          if (position >= durable) break;
          unwritten.delete(position);
        }
        flushes.resolve(durable);
      }
    } catch (cause) {
      failure = new Error(`cannot write ${path}`, { cause });
      flushes.reject(failure);
    }
    writing = false;
  }

  function flushed(): Promise<void> {
    if (failure !== undefined) return Promise.reject(failure);
    if (durable === tail) return Promise.resolve();
    return flushes.wait(tail);
  }

  return {
    append(text) {
      if (failure !== undefined) throw failure;
      const line = encodeLine(text);
      const position = tail;
      tail += line.length;
      waiting.push(line);
      unwritten.set(position, text);
      if (!writing) void writeAll();
      return position;
    },
    read: (position) => unwritten.get(position) ?? readEntry(file, path, position),
    flushed,
    async close() {
      try {
        await flushed();
      } finally {
        await file.close();
      }
    },
  };
}

/** Those who wait until the file is durable up to some position. */
function createFlushes() {
  let waiting: { readonly upTo: number; readonly resolve: () => void; readonly reject: (reason: Error) => void }[] = [];
  return {
    wait: (upTo: number) => new Promise<void>((resolve, reject) => waiting.push({ upTo, resolve, reject })),
    resolve(durable: number): void {
      const done = waiting.filter(({ upTo }) => upTo <= durable);
      waiting = waiting.filter(({ upTo }) => upTo > durable);
      for (const { resolve } of done) resolve();
    },
    reject(reason: Error): void {
      for (const { reject } of waiting) reject(reason);
      waiting = [];
    },
  };
}

async function writeBatch(file: FileHandle, path: string, batch: Buffer, end: number): Promise<void> {
  const { size } = await file.stat();
  if (size !== end) throw new Error(`${path} measures ${size} bytes, not ${end}: another process writes to it`);
  for (let written = 0; written < batch.length; ) {
    const { bytesWritten } = await file.write(batch, written);
    written += bytesWritten;
  }
  await file.datasync();
}

function readEntry(file: FileHandle, path: string, position: number): string {
  for (let length = READ_CHUNK_BYTES; length <= MAX_ENTRY_BYTES; length *= 2) {
    const buffer = Buffer.alloc(length);
    const data = buffer.subarray(0, readSync(file.fd, buffer, 0, length, position));
    const end = data.indexOf(NEWLINE);
    if (end === -1) continue;
    const text = decodeLine(data.subarray(0, end));
    if (text !== undefined) return text;
    break;
  }
  throw new Error(`${path} has no entry at byte ${position}`);
}

function encodeLine(text: string): Buffer {
  const line = Buffer.from(`${checksum(Buffer.from(text))} ${text}\n`);
  if (line.length > MAX_ENTRY_BYTES) throw new Error(`an entry of ${line.length} bytes is over ${MAX_ENTRY_BYTES}`);
  if (text.includes("\n")) throw new Error("an entry is one line");
  return line;
}

function decodeLine(line: Buffer): string | undefined {
  const text = line.subarray(9);
  return line.subarray(0, 9).toString() === `${checksum(text)} ` ? text.toString() : undefined;
}

function checksum(text: Buffer): string {
  return crc32(text).toString(16).padStart(8, "0");
}

/** A new file is only sure to be found after a crash when its folder was flushed too. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
