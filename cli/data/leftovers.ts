import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { startOf } from "../postgres/processes.ts";
import type { DataFolder } from "./folder.ts";
import { readStaleRunState, removeRunState } from "./run-file.ts";

/** Every process of a run finds the run's id here. */
export const runIdVariable = "SHOPMESH_RUN";

// The loss of their supervisor tells processes to end; then they finish their calls.
const graceMs = 2000;
const pollMs = 25;
const run = promisify(execFile);

/**
 * Ends what a supervisor left behind that was killed. To be called by whoever holds the folder's lock. Returns the names
 * of those that had to be killed. PostgreSQL is not among them: its own start sees to its leftovers.
 */
export async function stopLeftovers(folder: DataFolder): Promise<readonly string[]> {
  const state = readStaleRunState(folder);
  if (state === undefined) return [];
  const killed = await Promise.all(
    state.processes.map(async ({ name, pid }) => ((await stopLeftover(pid, state.runId)) ? [name] : [])),
  );
  removeRunState(folder);
  return killed.flat();
}

async function stopLeftover(pid: number, runId: string): Promise<boolean> {
  // An id may have gone to any other process by now; the run's id stands in the environment of its own alone.
  if (pid <= 0 || !(await isOfRun(pid, runId))) return false;
  for (let waitedMs = 0; waitedMs < graceMs; waitedMs += pollMs) {
    if ((await startOf(pid)) === undefined) return false;
    await delay(pollMs);
  }
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    return false; // it ended by itself after all
  }
  while ((await startOf(pid)) !== undefined) await delay(pollMs);
  return true;
}

async function isOfRun(pid: number, runId: string): Promise<boolean> {
  try {
    const environment =
      process.platform === "linux"
        ? await readFile(`/proc/${pid}/environ`, "utf8")
        : (await run("ps", ["-E", "-o", "command=", "-p", String(pid)])).stdout;
    return environment.split(/[\0\s]/).includes(`${runIdVariable}=${runId}`);
  } catch {
    return false; // it is gone, or not ours
  }
}
