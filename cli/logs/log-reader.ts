import { type FileHandle, open, stat } from "node:fs/promises";
import { createLineSplitter } from "./lines.ts";

/** Reads one log as its writer left it, and goes on with what is added, also when it is set aside and begun anew. */
export interface LogReader {
  /** The last lines that are wanted, the oldest first, with those of the file that was set aside. To be asked first. */
  last(count: number): Promise<readonly string[]>;
  /** The wanted lines that were added since. Never more than a few megabytes at a time. */
  more(): Promise<readonly string[]>;
  close(): Promise<void>;
}

const chunkBytes = 64 * 1024;
const maxChunksAtOnce = 64;
/** The writer cuts lines before they are so long; what is longer is cut here, at its beginning. */
const maxLineBytes = 1024 * 1024;

/** Makes a reader of the log at `path`, which need not be there yet. */
export function createLogReader(path: string, isWanted: (line: string) => boolean): LogReader {
  let file: FileHandle | undefined;
  let offset = 0;
  let splitter = createLineSplitter();

  const readOn = async (current: FileHandle): Promise<readonly string[]> => {
    const lines: string[] = [];
    for (let chunk = 0; chunk < maxChunksAtOnce; chunk++) {
      const { bytesRead, buffer } = await current.read(Buffer.alloc(chunkBytes), 0, chunkBytes, offset);
      if (bytesRead === 0) break;
      offset += bytesRead;
      lines.push(...splitter.push(buffer.subarray(0, bytesRead)));
    }
    return lines;
  };
  const begin = async (): Promise<FileHandle | undefined> => {
    file = await openIfThere(path);
    offset = 0;
    splitter = createLineSplitter();
    return file;
  };
  return {
    async last(count) {
      const current = await begin();
      const end = current === undefined ? undefined : await readLastLines(current, count, isWanted);
      offset = end?.offset ?? 0;
      const lines = end?.lines ?? [];
      if (lines.length === count) return lines;
      const aside = await openIfThere(`${path}.1`);
      if (aside === undefined) return lines;
      try {
        // It was set aside while we read it: it has no more to tell.
        if (current !== undefined && (await inodeOf(aside)) === (await inodeOf(current))) return lines;
        return [...(await readLastLines(aside, count - lines.length, isWanted)).lines, ...lines];
      } finally {
        await aside.close();
      }
    },
    async more() {
      const current = file ?? (await begin());
      if (current === undefined) return [];
      const lines = [...(await readOn(current))];
      const present = await stat(path).catch(() => undefined); // set aside, and not begun anew yet
      if (present === undefined || present.ino === (await inodeOf(current))) return lines.filter(isWanted);
      // Nothing is added to a file once another has its name. Now, if ever, it is read to its end.
      lines.push(...(await readOn(current)), ...splitter.end());
      await current.close();
      const next = await begin();
      if (next !== undefined) lines.push(...(await readOn(next)));
      return lines.filter(isWanted);
    },
    async close() {
      await file?.close();
      file = undefined;
    },
  };
}

/** Reads a file from its end until there are `count` wanted lines. What comes after the last line's end is left out. */
async function readLastLines(
  file: FileHandle,
  count: number,
  isWanted: (line: string) => boolean,
): Promise<{ readonly lines: readonly string[]; readonly offset: number }> {
  const lines: string[] = [];
  const keep = (bytes: Buffer): void => {
    const line = bytes.toString("utf8").replace(/\r$/, "");
    if (line !== "" && isWanted(line)) lines.push(line);
  };
  let offset: number | undefined;
  let rest = Buffer.alloc(0);
  for (let from = (await file.stat()).size; from > 0 && (lines.length < count || offset === undefined); ) {
    const length = Math.min(chunkBytes, from);
    from -= length;
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, from);
    rest = Buffer.concat([buffer, rest]);
    for (let at = rest.lastIndexOf(10); at >= 0 && lines.length < count; at = rest.lastIndexOf(10)) {
      if (offset === undefined) offset = from + at + 1;
      else keep(rest.subarray(at + 1));
      rest = rest.subarray(0, at);
    }
    if (rest.length > maxLineBytes) rest = rest.subarray(rest.length - maxLineBytes);
    if (from === 0 && offset !== undefined && lines.length < count) keep(rest);
  }
  return { lines: lines.toReversed(), offset: offset ?? 0 };
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  return open(path, "r").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
}

async function inodeOf(file: FileHandle): Promise<number> {
  return (await file.stat()).ino;
}
