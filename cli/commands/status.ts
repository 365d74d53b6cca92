import { setTimeout as delay } from "node:timers/promises";
import { systemClock } from "#mesh/clock.ts";
import type { CertificateSource } from "#mesh/identity/certificates.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import { checkHealth } from "../checks/health.ts";
import { loopback } from "../checks/ports.ts";
import { dataFolder } from "../data/folder.ts";
import { processMemory } from "../data/process-facts.ts";
import { type RunProcess, type RunState, readRunState } from "../data/run-file.ts";
import { watchInterrupt } from "../interrupt.ts";
import { type Command, type Invocation, noOperands } from "../invocation.ts";
import { createPaint } from "../logs/render.ts";
import { operatorMesh } from "../operator-client.ts";
import { exitCodes } from "../operator-error.ts";
import { createScreen } from "../screen.ts";
import { gatewayName } from "../topology.ts";
import { lookAtMesh } from "./status/look.ts";
import { type FoundProcess, reportProcesses } from "./status/processes.ts";
import { nextPaces, type Pace } from "./status/rates.ts";
import { reportShop, type ShopReport, statusJson } from "./status/report.ts";
import { statusText } from "./status/text.ts";

const healthTimeoutMs = 2_000;
const watchMs = 1_000;
// What it started has lines of its own.
const supervisorName = "supervisor";

/** Shows what runs in the data folder. Exits with 0 when all of it is well. */
export const status: Command = {
  operands: "",
  options: ["json", "watch"],
  async run(invocation) {
    noOperands(invocation);
    const eye = createEye(invocation);
    try {
      if (invocation.values.watch === true) return await watch(eye, invocation);
      const report = await eye.look(undefined);
      invocation.context.output.write(render(report, invocation));
      return report?.well === true ? exitCodes.ok : exitCodes.failed;
    } finally {
      eye.close();
    }
  },
};

/** Looks every second until it is told to stop. */
async function watch(eye: Eye, { context, values, settings }: Invocation): Promise<number> {
  const { signal, close } = (context.interrupt ?? watchInterrupt)();
  const show = values.json === true ? context.output.write : createScreen(context.output);
  const interrupted = new Promise<"interrupted">((resolve) => {
    signal.addEventListener("abort", () => resolve("interrupted"), { once: true });
  });
  try {
    while (!signal.aborted) {
      const beginMs = performance.now();
      const report = await Promise.race([eye.look(signal), interrupted]);
      if (report === "interrupted" || signal.aborted) break;
      show(render(report, { context, values, settings }));
      const restMs = Math.max(0, watchMs - (performance.now() - beginMs));
      await delay(restMs, undefined, { signal }).catch(() => undefined);
    }
    return exitCodes.ok;
  } finally {
    close();
  }
}

/** A status that is watched outlives the control plane, and finds it again. */
const UNTIL_IT_IS_THERE = Number.POSITIVE_INFINITY;

/** Looks at the shop of a data folder, again and again, with the memory that speeds come from. */
interface Eye {
  /** The shop as it is now; undefined when none runs. Takes little more than two seconds at most. */
  look(signal: AbortSignal | undefined): Promise<ShopReport | undefined>;
  close(): void;
}

function createEye({ settings, context }: Pick<Invocation, "settings" | "context">): Eye {
  let paces: ReadonlyMap<string, Pace> = new Map();
  let own: { readonly runId: string; readonly mesh: MeshNode } | undefined;
  const meshOf = (run: RunState): MeshNode => {
    if (own?.runId === run.runId) return own.mesh;
    own?.mesh.close();
    own = {
      runId: run.runId,
      mesh: context.openMesh?.(settings) ?? operatorMesh(run, dataFolder(settings.dataDir), UNTIL_IT_IS_THERE),
    };
    return own.mesh;
  };
  return {
    async look(signal) {
      const run = await readRunState(dataFolder(settings.dataDir));
      if (run === undefined) return undefined;
      const [mesh, found] = await Promise.all([
        lookAtMesh(meshOf(run), { signal, asksSupervisor: run.targets.supervisor !== undefined }),
        Promise.all(withSupervisor(run).map((process) => findOut(process, meshOf(run).certificates))),
      ]);
      paces = nextPaces(paces, mesh.instances.ok ? mesh.instances.value : []);
      const nowMs = systemClock.now().getTime();
      const processes = reportProcesses(found, mesh, paces, nowMs);
      return reportShop(run, mesh, { nowMs, dataDir: settings.dataDir, processes });
    },
    close: () => own?.mesh.close(),
  };
}

function withSupervisor({ pid, startTime, processes }: RunState): readonly RunProcess[] {
  const name = supervisorName;
  const known = { name, service: name, version: "", lastExit: "" };
  return [...processes, { ...known, pid, port: 0, state: "ready", startTime, restarts: 0, grpcHealth: false }];
}

async function findOut(process: RunProcess, certificates: CertificateSource): Promise<FoundProcess> {
  const { name, service, state, pid, port } = process;
  const runs = state === "ready" || state === "starting";
  // The public door speaks without certificates; all others want one.
  const peer = service === gatewayName ? undefined : { service, certificates };
  const [answer, memoryBytes] = await Promise.all([
    process.grpcHealth && runs ? checkHealth(`${loopback}:${port}`, healthTimeoutMs, peer) : undefined,
    pid === 0 ? undefined : processMemory(pid, { descendants: name !== supervisorName }),
  ]);
  // Whom control has not let in cannot tell a process that is away from one that does not talk to strangers.
  const isStranger = peer !== undefined && certificates.current() === undefined;
  return { ...process, health: answer === "UNREACHABLE" && isStranger ? undefined : answer, memoryBytes };
}

function render(
  report: ShopReport | undefined,
  { context, values, settings }: Pick<Invocation, "context" | "values" | "settings">,
): string {
  const { dataDir } = settings;
  const { json, watch } = values;
  const space = watch === true ? undefined : 2;
  if (report === undefined) {
    return json === true ? `${JSON.stringify({ running: false, dataDir })}\n` : `no shop runs in ${dataDir}\n`;
  }
  if (json === true) return `${JSON.stringify(statusJson(report), undefined, space)}\n`;
  return statusText(report, { paint: createPaint(context.output.colour), width: context.output.size?.()?.columns });
}
