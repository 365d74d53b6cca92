import { randomBytes } from "node:crypto";
import { open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { type Fields, readFields } from "./fields.ts";

/** A file that holds what must outlive the process, as JSON. */
export interface StateFile<T> {
  /** What was written last; undefined when the file was never written. Throws a `StateFileError` when it is broken. */
  read(): Promise<T | undefined>;
  /** Writes the whole file anew: whatever happens meanwhile, a reader finds the old text or the new. */
  write(value: T): Promise<void>;
}

export interface StateFileOptions<T> {
  readonly path: string;
  /** Reads what `toJson` made. Throws when something is missing or of another kind. */
  readonly fromJson: (fields: Fields) => T;
  readonly toJson: (value: T) => unknown;
  /** What becomes of the mesh when the file is moved away: the last part of what an operator is told. */
  readonly without: string;
}

/** A file that cannot be made sense of. It carries no stack: the message is all that an operator needs. */
export class StateFileError extends Error {
  override readonly name = "StateFileError";

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.stack = `StateFileError: ${message}`;
  }
}

export function stateFile<T>({ path, fromJson, toJson, without }: StateFileOptions<T>): StateFile<T> {
  return {
    async read() {
      const text = await readText(path);
      if (text === undefined) return undefined;
      try {
        return fromJson(readFields(JSON.parse(text)));
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause);
        const advice = `put back a copy of it, or move it away: ${without}`;
        throw new StateFileError(`${path} cannot be read (${why}); ${advice}`, { cause });
      }
    },
    write: (value) => writeWhole(path, `${JSON.stringify(toJson(value), undefined, 1)}\n`, PRIVATE),
  };
}

const PRIVATE = 0o600;

/**
 * Writes beside the file, forces that to the disk and renames it over the file, so that a crash at any moment, also of
 * the machine, leaves the one or the other.
 */
export async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  const fresh = `${path}.${process.pid}-${randomBytes(4).toString("hex")}${FRESH}`;
  try {
    const file = await open(fresh, "wx", mode);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(fresh, path);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** How the name of a file ends that is not yet whole; a process that was killed leaves some. */
export const FRESH = ".new";

/** Makes a rename last; where folders cannot be opened, the system does so by itself. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && Reflect.get(error, "code") === "ENOENT") return undefined;
    throw error;
  }
}
