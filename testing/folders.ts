import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAlive } from "../cli/postgres/processes.ts";

const PREFIX = "shopmesh-test-";

/** A new, empty folder for one test or one run, which removes it. Should that be killed, a later run does. */
export function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`));
}

/** Removes the folders of processes that have ended without doing so. */
export async function removeLeftFolders(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    // Somebody else's folder stays; it harms nothing.
    await rm(join(tmpdir(), name), { recursive: true, force: true }).catch(() => {});
  }
}
