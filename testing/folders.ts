import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAlive } from "../cli/postgres/processes.ts";

const PREFIX = "shopmesh-test-";

/** A new, empty folder for one test or one run, which removes it. Should that be killed, a later run does. */
export function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`));
}

/**
 * Removes a folder and all in it. A program that has just been ended may still write or remove its own files there,
 * which makes a removal meet a folder that it had found empty: it is tried again, for about five seconds.
 */
export function removeFolder(path: string): Promise<void> {
  return rm(path, { recursive: true, force: true, maxRetries: 9, retryDelay: 100 });
}

/** Removes the folders of processes that have ended without doing so. */
export async function removeLeftFolders(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    // Somebody else's folder stays; it harms nothing.
    await removeFolder(join(tmpdir(), name)).catch(() => {});
  }
}
