import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * The memory of a process in bytes, undefined when it is gone: its proportional share where the system tells it (shares
 * of processes that share pages add up rightly), else its resident size. With `descendants` that of all it started, too.
 */
export async function processMemory(
  pid: number,
  { descendants }: { readonly descendants: boolean },
): Promise<number | undefined> {
  const own = await memoryOf(pid);
  if (own === undefined || !descendants) return own;
  const children = await Promise.all((await childrenOf(pid)).map((child) => processMemory(child, { descendants })));
  return children.reduce<number>((sum, memory) => sum + (memory ?? 0), own);
}

async function memoryOf(pid: number): Promise<number | undefined> {
  const share = /^Pss:\s+(\d+) kB$/m.exec(await readOrEmpty(`/proc/${pid}/smaps_rollup`))?.[1];
  const resident = share ?? /^VmRSS:\s+(\d+) kB$/m.exec(await readOrEmpty(`/proc/${pid}/status`))?.[1];
  const kilobytes = Number(resident ?? (await output("ps", ["-o", "rss=", "-p", String(pid)])).trim());
  return kilobytes > 0 ? kilobytes * 1024 : undefined;
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const listed = await readOrEmpty(`/proc/${pid}/task/${pid}/children`);
  const text = process.platform === "linux" ? listed : await output("pgrep", ["-P", String(pid)]);
  return text
    .split(/\s+/)
    .map(Number)
    .filter((child) => child > 0);
}

// Empty for a process that is gone, one that is not ours to look at, and a system without /proc.
function readOrEmpty(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}

// Empty when the program is not installed, or found nothing.
async function output(command: string, args: readonly string[]): Promise<string> {
  return run(command, [...args], { timeout: 5000 }).then(
    ({ stdout }) => stdout,
    () => "",
  );
}
