import { randomBytes } from "node:crypto";
import { chmodSync, closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { codeOf } from "../operator-error.ts";

/**
 * Writes a file that only its owner can read (mode 0600): a reader sees the old text or the new, never a part. With
 * `durable` that holds after a crash of the machine too.
 */
export function writePrivateFile(path: string, text: string, { durable }: { readonly durable: boolean }): void {
  const temporary = `${path}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`;
  const file = openSync(temporary, "wx", 0o600);
  try {
    writeSync(file, text);
    if (durable) fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}

/** Reads such a file, undefined when there is none. Wider permissions are taken away first. */
export function readPrivateFile(path: string): string | undefined {
  try {
    chmodSync(path, 0o600);
    return readFileSync(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
