import { type Process, ProcessState } from "#gen/mesh/supervisor/v1/supervisor_service.ts";
import { InstanceState } from "#gen/mesh/v1/instance.ts";
import type { RegisteredInstance } from "#gen/mesh/v1/registry_service.ts";
import type { Health } from "../../checks/health.ts";
import type { RunProcess } from "../../data/run-file.ts";
import { controlName, supervisorName } from "../../topology.ts";
import type { MeshLook } from "./look.ts";
import { keyOf, type Pace } from "./rates.ts";

/** One process of a shop, of which the run file, the supervisor, the registry and it itself each know a part. */
export interface ProcessReport {
  readonly name: string;
  /** The service; undefined for what is none, or when nobody says. */
  readonly service: string | undefined;
  readonly version: string | undefined;
  readonly canary: boolean;
  /** What the supervisor has it down for; `elsewhere` for an instance that another one started. */
  readonly state: string;
  /** What it says of itself; undefined for one that is not asked. */
  readonly health: Health | undefined;
  /** What the registry has it down for, be it `not registered`; undefined for what is in none, or when nobody says. */
  readonly registered: string | undefined;
  readonly pid: number;
  readonly port: number | undefined;
  readonly uptimeSeconds: number;
  /** With all that it started: the share of memory that is its own, where the system tells; undefined when it is gone. */
  readonly memoryBytes: number | undefined;
  readonly restarts: number;
  /** How it last ended; undefined when it never did, or nobody says. */
  readonly lastExit: string | undefined;
  /** What it reported of its calls; undefined for what reports none. */
  readonly calls: Calls | undefined;
}

export interface Calls {
  readonly total: number;
  readonly failed: number;
  readonly shed: number;
  readonly running: number;
  /** How many it lets run at a time. */
  readonly limit: number;
  readonly perSecond: number | undefined;
}

/** A process of the run file, as it was found. */
export interface FoundProcess extends RunProcess {
  readonly health: Health | undefined;
  readonly memoryBytes: number | undefined;
}

/** Who is in no registry: control keeps it, the supervisor is found by its address, and what has no name is no service. */
const outside: ReadonlySet<string> = new Set([controlName, supervisorName, ""]);

/** So long after its start a process may still be on its way into the registry. */
const registeringSeconds = 10;

/** Joins what is known of each process. Those of the run come first, then instances that are registered from elsewhere. */
export function reportProcesses(
  found: readonly FoundProcess[],
  { supervised, instances }: MeshLook,
  paces: ReadonlyMap<string, Pace>,
  nowMs: number,
): readonly ProcessReport[] {
  const bySupervisor = new Map(supervised.ok ? supervised.value.map((process) => [process.name, process]) : []);
  const registered = instances.ok ? instances.value : [];
  // A name is one service's own; another may use it too.
  const byRegistry = new Map(registered.map((one) => [keyOf(one.instance), one]));
  const own = found.map((process) => {
    const one = reportOne(process, bySupervisor.get(process.name), byRegistry.get(keyOf(process)), { paces, nowMs });
    const isDue = one.state === "ready" && one.uptimeSeconds >= registeringSeconds;
    const missing = instances.ok && one.registered === undefined && isDue;
    return missing && !outside.has(process.service) ? { ...one, registered: "not registered" } : one;
  });
  const known = new Set(found.map(keyOf));
  const others = registered.filter(({ instance }) => !known.has(keyOf(instance)));
  return [...own, ...others.map((one) => reportElsewhere(one, { paces, nowMs }))];
}

interface Moment {
  readonly paces: ReadonlyMap<string, Pace>;
  readonly nowMs: number;
}

function reportOne(
  found: FoundProcess,
  supervised: Process | undefined,
  registered: RegisteredInstance | undefined,
  moment: Moment,
): ProcessReport {
  const { name, pid, port, health, memoryBytes } = found;
  const state = supervised === undefined ? found.state : processStateName(supervised.state);
  const runs = pid !== 0;
  return {
    name,
    service: found.service || undefined,
    version: (supervised?.version ?? found.version) || undefined,
    canary: supervised?.canary ?? false,
    state,
    health,
    registered: registered === undefined ? undefined : instanceStateName(registered.state),
    pid,
    port: port === 0 ? undefined : port,
    uptimeSeconds: runs ? secondsSince(Date.parse(found.startTime), moment.nowMs) : 0,
    memoryBytes,
    restarts: supervised?.restarts ?? found.restarts,
    lastExit: (supervised?.lastExit ?? found.lastExit) || undefined,
    calls: callsOf(registered, moment.paces),
  };
}

function reportElsewhere(registered: RegisteredInstance, { paces, nowMs }: Moment): ProcessReport {
  const { instance, state } = registered;
  const startTime = instance?.startTime ?? registered.registerTime;
  return {
    name: instance?.name ?? "",
    service: instance?.service,
    version: instance?.version,
    canary: false,
    state: "elsewhere",
    health: undefined,
    registered: instanceStateName(state),
    pid: 0,
    port: instance?.port,
    uptimeSeconds: startTime === undefined ? 0 : secondsSince(startTime.getTime(), nowMs),
    memoryBytes: undefined,
    restarts: 0,
    lastExit: undefined,
    calls: callsOf(registered, paces),
  };
}

function callsOf(registered: RegisteredInstance | undefined, paces: ReadonlyMap<string, Pace>): Calls | undefined {
  const stats = registered?.stats;
  if (stats === undefined) return undefined;
  return {
    total: Number(stats.callsTotal),
    failed: Number(stats.callsFailed),
    shed: Number(stats.callsShed),
    running: Number(stats.callsRunning),
    limit: Number(stats.concurrencyLimit),
    perSecond: paces.get(keyOf(registered?.instance))?.callsPerSecond,
  };
}

/** Whether a process is as it should be. */
export function isWell({ state, health, registered }: ProcessReport): boolean {
  const takesCalls = registered === undefined || registered === "serving";
  return (state === "ready" || state === "elsewhere") && (health ?? "SERVING") === "SERVING" && takesCalls;
}

/** How it is in one or two words: the worst that is known of it. */
export function describeState({ state, health, registered }: ProcessReport): string {
  if (state !== "ready" && state !== "elsewhere") return state;
  if (health !== undefined && health !== "SERVING") return health.toLowerCase().replace("_", " ");
  if (registered !== undefined && registered !== "serving") return registered;
  return health === undefined ? state : "serving";
}

function secondsSince(timeMs: number, nowMs: number): number {
  return Math.max(0, Math.round((nowMs - timeMs) / 1_000));
}

function processStateName(state: ProcessState): string {
  return nameIn(ProcessState, state);
}

function instanceStateName(state: InstanceState): string {
  return nameIn(InstanceState, state);
}

/** `not serving`, of NOT_SERVING. */
function nameIn(names: Readonly<Record<string, number>>, value: number): string {
  const name = Object.entries(names).find(([, one]) => one === value)?.[0] ?? String(value);
  return name.toLowerCase().replaceAll("_", " ");
}
