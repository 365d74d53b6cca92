import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Binaries } from "./binaries.ts";
import { type DataFolder, serverEnv } from "./cluster.ts";
import { isAlive, isServerOf } from "./processes.ts";
import type { ServerUser } from "./server-user.ts";

const run = promisify(execFile);
const STOP_TIMEOUT_SECONDS = 20;

/**
 * Clears the way for a new server on a cluster whose former owner was killed: a server that still runs there is stopped
 * in good order. A server that crashed needs nothing; PostgreSQL recovers by itself.
 */
export async function stopLeftover(
  { dataDir, clusterDir }: DataFolder,
  { binaries, user, log }: { binaries: Binaries; user: ServerUser | undefined; log: (line: string) => void },
): Promise<void> {
  const pidFile = join(clusterDir, "postmaster.pid");
  const text = await readFile(pidFile, "utf8").catch(() => "");
  const [firstLine = ""] = text.split("\n");
  const pid = Number.parseInt(firstLine, 10);
  if (!(pid > 0) || !isAlive(pid)) return;
  if (!(await isServerOf(pid, clusterDir))) {
    // The id went to some other process, which PostgreSQL would take for a running server. It takes its own parent for
    // none; the rest of the file must stay, by which it finds out whether a process of the former server still lives.
    await writeFile(pidFile, text.replace(firstLine, String(process.pid)));
    return;
  }
  log(`stopping the server that a former run left behind (process ${pid})`);
  const stop = (mode: string) =>
    run(binaries.pgCtl, ["stop", "-D", clusterDir, "-m", mode, "-w", "-t", String(STOP_TIMEOUT_SECONDS)], {
      ...user,
      cwd: dataDir,
      env: serverEnv(),
    });
  await stop("fast").catch(() => stop("immediate"));
}
