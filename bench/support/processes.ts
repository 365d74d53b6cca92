import { readdir, readFile } from "node:fs/promises";
import type { Watched } from "../../e2e/support/shop.ts";

/** Memory in bytes. The shares (PSS) of processes that share pages add up rightly; resident sizes (RSS) do not. */
export interface Memory {
  readonly rssBytes: number;
  readonly pssBytes: number;
}

/** Processor time in seconds, by name, since each process began. */
export type CpuReading = ReadonlyMap<string, number>;

const postgres = "postgres";
// What Linux counts processor time in, on every architecture that Node.js runs on.
const ticksPerSecond = 100;

/** Reads the memory of processes; PostgreSQL's is that of all of its own together. Linux alone. */
export async function readMemory(processes: readonly Watched[]): Promise<ReadonlyMap<string, Memory>> {
  const read = async ({ name, pid }: Watched): Promise<readonly [string, Memory]> => {
    const pids = name === postgres ? [pid, ...(await childrenOf(pid))] : [pid];
    const all = await Promise.all(pids.map(memoryOf));
    const sum = (of: (memory: Memory) => number): number => all.reduce((total, memory) => total + of(memory), 0);
    return [name, { rssBytes: sum(({ rssBytes }) => rssBytes), pssBytes: sum(({ pssBytes }) => pssBytes) }];
  };
  return new Map(await Promise.all(processes.map(read)));
}

/**
 * Reads the processor time of processes. PostgreSQL's is told apart by the database that a connection is to, and by
 * the name of each process without one. Linux alone.
 */
export async function readCpu(processes: readonly Watched[]): Promise<CpuReading> {
  const reading = new Map<string, number>();
  const add = (name: string, seconds: number): void => void reading.set(name, (reading.get(name) ?? 0) + seconds);
  for (const { name, pid } of processes) {
    const { own, ended } = await cpuOf(pid);
    if (name !== postgres) {
      add(name, own);
      continue;
    }
    add("postgres, ended connections", own + ended);
    for (const child of await childrenOf(pid)) add(await postgresName(child), (await cpuOf(child)).own);
  }
  return reading;
}

/** What was used between two readings, in seconds, by name. */
export function cpuBetween(begin: CpuReading, end: CpuReading): CpuReading {
  return new Map([...end].map(([name, seconds]) => [name, seconds - (begin.get(name) ?? 0)]));
}

/** Processor time of the whole machine since it started, in seconds: in use by anybody, and taken by its host. */
export async function readMachineCpu(): Promise<{ readonly busySeconds: number; readonly stolenSeconds: number }> {
  const line = (await readFile("/proc/stat", "utf8")).split("\n", 1)[0] ?? "";
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, stolen = 0] = line.split(/\s+/).slice(1).map(Number);
  const busy = user + nice + system + irq + softIrq;
  return { busySeconds: busy / ticksPerSecond, stolenSeconds: stolen / ticksPerSecond };
}

async function memoryOf(pid: number): Promise<Memory> {
  const rollup = await readOrEmpty(`/proc/${pid}/smaps_rollup`);
  const bytes = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(rollup)?.[1] ?? 0) * 1024;
  return { rssBytes: bytes("Rss"), pssBytes: bytes("Pss") };
}

/** Seconds of the process itself, and of the children that it has waited for. */
async function cpuOf(pid: number): Promise<{ readonly own: number; readonly ended: number }> {
  const text = await readOrEmpty(`/proc/${pid}/stat`);
  // The name in brackets may hold anything; the fields after it are numbers, from the third of all on.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = fields.slice(11, 15).map(Number);
  return { own: (user + system) / ticksPerSecond, ended: (endedUser + endedSystem) / ticksPerSecond };
}

// `postgres: shopmesh_orders shopmesh_orders 127.0.0.1(40112) idle`, `postgres: io worker 0`.
async function postgresName(pid: number): Promise<string> {
  const title = (await readOrEmpty(`/proc/${pid}/cmdline`)).replaceAll("\0", " ");
  const database = /^postgres: \S+ (?:shopmesh_)?(\S+) [\d.]+\(\d+\)/.exec(title)?.[1];
  if (database !== undefined) return `postgres, database ${database}`;
  return `postgres, ${/^postgres: ([a-z ]+[a-z])/.exec(title)?.[1] ?? "other"}`;
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const lists = await Promise.all(threads.map((thread) => readOrEmpty(`/proc/${pid}/task/${thread}/children`)));
  return lists
    .join(" ")
    .split(/\s+/)
    .filter((text) => text !== "")
    .map(Number);
}

// Empty for a process that is gone.
function readOrEmpty(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}
