import { randomUUID } from "node:crypto";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startOf } from "./processes.ts";

/** Gives a data folder up, for the next one to claim. */
export type Release = () => Promise<void>;

const MAX_TRIES = 5;

/**
 * Claims a data folder for this process. Throws when a process that still runs holds it. The claim of one that ended
 * without giving it up, be it by `kill -9` or a power cut, is void.
 */
export async function claimFolder(dataDir: string): Promise<Release> {
  const ownerFile = join(dataDir, "owner");
  const mine = `${process.pid} ${await startOf(process.pid)}\n`;
  const draft = `${ownerFile}.${randomUUID()}`;
  await writeFile(draft, mine);
  try {
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      // A link appears with its content or not at all, and never over another one.
      const taken = await link(draft, ownerFile).then(() => false, isTaken);
      if (!taken) return () => rm(ownerFile, { force: true });
      const holder = await livingHolder(ownerFile);
      if (holder !== undefined) {
        throw new Error(
          `The data folder ${dataDir} is in use by process ${holder}: stop that first, or set SHOPMESH_DATA to another`,
        );
      }
      await rm(ownerFile, { force: true });
    }
    throw new Error(`The data folder ${dataDir} is being claimed by other processes`);
  } finally {
    await rm(draft, { force: true });
  }
}

function isTaken(error: unknown): true {
  if (error instanceof Error && "code" in error && error.code === "EEXIST") return true;
  throw error;
}

async function livingHolder(ownerFile: string): Promise<number | undefined> {
  const text = await readFile(ownerFile, "utf8").catch(() => "");
  const match = /^(\d+) (.+)\n$/.exec(text);
  if (match === null) return undefined;
  const pid = Number(match[1]);
  const start = await startOf(pid);
  return start !== undefined && start === match[2] ? pid : undefined;
}
