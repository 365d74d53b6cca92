import { SupervisorService } from "#gen/mesh/supervisor/v1/supervisor_service.contract.ts";
import { readMeshConfig } from "#mesh/config.ts";
import { implement } from "#mesh/contract/contract.ts";
import { deriveJoinKey } from "#mesh/identity/join-token.ts";
import { createMeshNode, type MeshNode } from "#mesh/mesh.ts";
import { createLogger } from "#mesh/telemetry/log.ts";
import { isHeardOf } from "./checks/health.ts";
import { loopback } from "./checks/ports.ts";
import { supervisorEnv } from "./environment.ts";
import { openLogFile } from "./logs/log-file.ts";
import { createProcessLog, type ProcessLog } from "./logs/process-log.ts";
import { messageOf } from "./operator-error.ts";
import { type Run, stopGraceMs } from "./run.ts";
import type { Context } from "./run-context.ts";
import { createChanges } from "./supervisor/changes.ts";
import { createCrew } from "./supervisor/crew.ts";
import { supervisorHandlers } from "./supervisor/handlers.ts";
import { HANG_SECONDS, watchForHangs } from "./supervisor/hang-watch.ts";
import { controlView } from "./supervisor/mesh-view.ts";
import { defaultRestartPolicy } from "./supervisor/restart-policy.ts";
import { controlName, supervisorName } from "./topology.ts";

/** How long a new instance is watched before an old one ends. */
const watchMs = 3_000;
/** How long control may be away meanwhile: it starts anew, and all have rejoined, in less. */
const lookMs = 10_000;
/** Who follows a change finds out at once that it is over; nothing is gained by waiting for them. */
const shutdownBounds = { streamsMs: 0, callsMs: 500, connectionsMs: 1_000 };

/** Joins the mesh as the supervisor, and serves what the other commands ask of it. */
export async function openDoor(run: Run, context: Context): Promise<void> {
  const { terminal, cleanup, hasten, restartPolicy = defaultRestartPolicy } = context;
  // Nothing is taken from the store yet that could be in the way.
  for (const { kind, version } of run.releases) await run.store.prune(kind, new Set([version]));
  const { mesh, log } = await joinMesh(run, context);
  // Also before it has joined: whoever gives up the start waits for nothing.
  cleanup.add("the supervisor's part of the mesh", () => {
    mesh.close();
    log.close();
  });
  // Control itself, and the simulator, are in no registry.
  const view = controlView(mesh, (service) => service !== "" && service !== controlName);
  const { fleet, plan, store: releases } = run;
  const crew = createCrew({
    kinds: context.kinds,
    fleet,
    places: plan.places,
    view,
    programOf: run.programOf,
    releases: run.releases,
    maxWithData: run.maxWithData,
    readyMs: restartPolicy.readyMs,
    stop: { graceMs: stopGraceMs, hasten },
  });
  const changes = createChanges();
  const { processes } = fleet;
  const deps = { crew, fleet, view, watchMs, lookMs, changes, releases, processes, say: terminal.say };
  const server = await mesh.serve({ services: [implement(SupervisorService, supervisorHandlers(deps))] });
  cleanup.add("the supervisor's service", async () => {
    changes.stop();
    await server.close();
  });
  run.setSupervisor(`${server.host}:${server.port}`);
  watchControl(run, context, mesh);
}

/** Has control killed when it hangs, which is then started again: nobody else would end it. */
function watchControl({ fleet }: Run, { clock, cleanup }: Context, { certificates }: MeshNode): void {
  const ending = new AbortController();
  cleanup.add("the watch over control", () => ending.abort());
  void watchForHangs(
    {
      process: () => fleet.processes().find(({ name }) => name === controlName),
      answers: ({ port }, timeoutMs) =>
        isHeardOf(`${loopback}:${port}`, timeoutMs, { service: controlName, certificates }),
      onHang: ({ name }) => fleet.kill(name, `has not answered for ${HANG_SECONDS} s`),
      clock,
    },
    ending.signal,
  );
}

async function joinMesh(
  { folder, plan }: Run,
  { terminal }: Context,
): Promise<{ readonly mesh: MeshNode; readonly log: ProcessLog }> {
  const path = `${folder.logsDir}/${supervisorName}.log`;
  const onError = (error: unknown): void =>
    terminal.warn(`${path} can't be written; lines are lost until it can: ${messageOf(error)}`);
  const log = createProcessLog({ name: supervisorName, file: openLogFile(path, { onError }), terminal });
  const config = readMeshConfig(supervisorEnv(plan));
  // With the key, not one token: it is to find its way back also when the machine was asleep for hours.
  const proof = { key: deriveJoinKey(plan.secrets.joinSecret, supervisorName) };
  const join = { address: plan.joinAddress, trustFile: folder.trustFile, proof };
  const { instance, version, logLevel: level } = config;
  const destination = { write: (line: string) => log.stdout(Buffer.from(line)) };
  const logger = createLogger({ workload: supervisorName, instance, version, level, destination });
  return { mesh: createMeshNode(supervisorName, config, { log: logger, shutdownBounds, join }), log };
}
