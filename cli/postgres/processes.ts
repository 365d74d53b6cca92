import { execFile } from "node:child_process";
import { readFile, readlink } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Whether a process of this id runs, be it ours or somebody else's. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/**
 * When a process began, in no particular unit: with its id, this tells it from a later process of the same id. A
 * process that ended counts as none, even while its parent has not yet taken notice.
 */
export async function startOf(pid: number): Promise<string | undefined> {
  try {
    if (process.platform !== "linux") return (await run("ps", ["-o", "lstart=", "-p", String(pid)])).stdout.trim();
    const line = await readFile(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses, in which anything may stand. The third is the state, with
    // Z for ended; the 22nd is the start.
    const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Whether process `pid` is a PostgreSQL server on the cluster at `clusterDir`, a path without symbolic links. */
export async function isServerOf(pid: number, clusterDir: string): Promise<boolean> {
  try {
    // A server works inside its cluster's folder.
    if (process.platform === "linux") return (await readlink(`/proc/${pid}/cwd`)) === clusterDir;
    return (await run("ps", ["-o", "command=", "-p", String(pid)])).stdout.includes(clusterDir);
  } catch {
    return false;
  }
}
