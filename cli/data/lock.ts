import { randomInt } from "node:crypto";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { OperatorError } from "../operator-error.ts";
import { startOf } from "../postgres/processes.ts";

/** Held as long as a shop lives in the folder. */
export interface Lock {
  /** Gives the folder back. Idempotent. */
  release(): Promise<void>;
}

// Two that start in the same instant both see the other, and both step back; then they try again.
const maxAttempts = 4;

/**
 * Takes a data folder for this process. Throws OperatorError, naming the process, when another one holds it.
 *
 * Whoever wants the folder puts down a file named after itself (id and start, so that no two processes ever share a
 * name), then looks around. Whoever sees a living one beside its own takes its own away. So never do two hold the
 * folder, and nobody must judge and replace in one step: the file of a process that died is rubbish to everybody.
 */
export async function takeLock(lockDir: string, pid: number = process.pid): Promise<Lock> {
  await mkdir(lockDir, { recursive: true, mode: 0o700 });
  const own = holderName(pid, await startOf(pid));
  const ownFile = join(lockDir, own);
  for (let attempt = 1; ; attempt++) {
    await writeFile(ownFile, "", { mode: 0o600 });
    const other = (await livingHolders(lockDir)).find((name) => name !== own);
    if (other === undefined) return { release: () => rm(ownFile, { force: true }) };
    await rm(ownFile, { force: true });
    if (attempt === maxAttempts) {
      const advice = "stop it first, or use another folder with SHOPMESH_DATA=…";
      throw new OperatorError(`a shop already runs in ${dirname(lockDir)} (process ${pidOf(other)}); ${advice}`);
    }
    await delay(randomInt(10, 100));
  }
}

/** The id of the process that holds a data folder, undefined when none does. */
export async function lockHolder(lockDir: string): Promise<number | undefined> {
  const [holder] = await livingHolders(lockDir);
  return holder === undefined ? undefined : pidOf(holder);
}

async function livingHolders(lockDir: string): Promise<readonly string[]> {
  const names = await readdir(lockDir).catch(() => []); // no folder, no holder
  const alive = await Promise.all(names.map(isHolderAlive));
  await Promise.all(
    names.filter((_, index) => alive[index] !== true).map((name) => rm(join(lockDir, name), { force: true })),
  );
  return names.filter((_, index) => alive[index] === true);
}

async function isHolderAlive(name: string): Promise<boolean> {
  const pid = pidOf(name);
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  const start = await startOf(pid);
  return start !== undefined && name === holderName(pid, start);
}

// On some systems the start is a date with blanks.
function holderName(pid: number, start: string | undefined): string {
  return `${pid}@${(start ?? "").replaceAll(/[^A-Za-z0-9]+/g, "_")}`;
}

function pidOf(name: string): number {
  return Number(name.split("@")[0]);
}
