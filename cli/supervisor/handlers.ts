import type { SupervisorService } from "#gen/mesh/supervisor/v1/supervisor_service.contract.ts";
import {
  type Process,
  type Release as ReleaseMessage,
  RolloutStep,
} from "#gen/mesh/supervisor/v1/supervisor_service.ts";
import type { Handlers } from "#mesh/contract/contract.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { messageOf } from "../operator-error.ts";
import type { Release, ReleaseStore } from "../releases/store.ts";
import type { Kind } from "../topology.ts";
import { checkCanary, endCanary, startCanary } from "./canary.ts";
import type { Change, Changes, ChangeWork } from "./changes.ts";
import type { Instance } from "./crew.ts";
import { releaseUnusable, unknownProgram } from "./failures.ts";
import { processMessage } from "./messages.ts";
import { restart, restartOf } from "./restart.ts";
import { checkRollout, type RolloutDeps, rollOut, type Step } from "./rollout.ts";
import { scale } from "./scale.ts";
import type { ProcessStatus } from "./supervise.ts";

/** What the handlers work with. */
export interface SupervisorDeps extends RolloutDeps {
  readonly changes: Changes;
  readonly releases: ReleaseStore;
  /** All processes, in the order in which they stop. */
  readonly processes: () => readonly ProcessStatus[];
  /** Tells the operator at the terminal what is done. */
  readonly say: (message: string) => void;
}

/** The handlers of `mesh.supervisor.v1.SupervisorService`. */
export function supervisorHandlers(deps: SupervisorDeps): Handlers<typeof SupervisorService> {
  const { crew } = deps;
  const answer = (kind: Kind) => ({ processes: processesOf(deps, kind) });
  return {
    listProcesses: async () => ({ processes: deps.processes().map((status) => message(deps, status)) }),
    scaleService: async (request, call) => {
      const kind = serviceOf(deps, request.service);
      const wanted = request.instances;
      return begin(deps, { kind, request }, call, async ({ signal }) => {
        deps.say(`${kind.name}: scaling to ${wanted}`);
        await scale(crew, { kind, wanted }, signal);
        return answer(kind);
      }).outcome;
    },
    restartService: async (request, call) => {
      const { kind } = restartOf(crew, request.name);
      return begin(deps, { kind, request }, call, async ({ signal }) => {
        deps.say(`${request.name}: restarting`);
        await restart(crew, restartOf(crew, request.name), signal);
        return answer(kind);
      }).outcome;
    },
    async *rolloutService(request, call) {
      const kind = serviceOf(deps, request.service);
      const change = begin<Step, void>(deps, { kind, request }, call, async (work) => {
        const release = await takeRelease(deps, kind, request.release);
        checkRollout(crew, kind, release);
        await rollOut(deps, { kind, release }, telling(deps, kind, work));
        await prune(deps, kind);
      });
      for await (const { step, ...rest } of change.follow(call.signal)) yield { step: RolloutStep[step], ...rest };
      if (!call.signal.aborted) await change.outcome;
    },
    startCanary: async (request, call) => {
      const kind = serviceOf(deps, request.service);
      return begin(deps, { kind, request }, call, async ({ signal }) => {
        const release = await takeRelease(deps, kind, request.release);
        checkCanary(crew, kind, release);
        deps.say(`${kind.name}: a canary of ${release.version} gets ${request.percent} % of the calls`);
        const { instance, split } = await startCanary(deps, { kind, release, share: request }, signal);
        return { process: processesOf(deps, kind).find(({ name }) => name === instance.name), split };
      }).outcome;
    },
    endCanary: async (request, call) => {
      const kind = serviceOf(deps, request.service);
      return begin(deps, { kind, request }, call, async () => {
        await endCanary(deps, kind);
        await prune(deps, kind);
        return answer(kind);
      }).outcome;
    },
  };
}

/** A service by its name; what is none is unknown here. */
function serviceOf({ crew }: SupervisorDeps, name: string): Kind {
  const kind = crew.kindOf(name);
  if (!kind.isService) throw unknownProgram(name);
  return kind;
}

function begin<S, Outcome>(
  { changes }: SupervisorDeps,
  { kind, request }: { readonly kind: Kind; readonly request: { readonly requestId: string } },
  { method, caller }: Call,
  work: (work: ChangeWork<S>) => Promise<Outcome>,
): Change<S, Outcome> {
  const body = Buffer.from(method.encodeRequest(request)).toString("base64");
  const change = changes.begin(
    { method: method.path, caller, requestId: request.requestId, body, service: kind.name },
    work,
  );
  // Nobody may be left who waits for it.
  change.outcome.catch(() => undefined);
  return change;
}

async function takeRelease(
  { releases }: SupervisorDeps,
  kind: Kind,
  wanted: ReleaseMessage | undefined,
): Promise<Release> {
  const { version, programsDir } = wanted ?? { version: "", programsDir: "" };
  const taken = await releases.take(kind.name, { version, programsDir });
  if (!taken.ok) throw releaseUnusable(version, taken.error);
  return taken.value;
}

/** Never rejects: the change is made, and what was left over is found by the next one. */
async function prune({ releases, crew, say }: SupervisorDeps, kind: Kind): Promise<void> {
  const inUse = [crew.release(kind), ...crew.instances(kind).map(({ release }: Instance) => release)];
  try {
    await releases.prune(kind.name, new Set(inUse.map(({ version }) => version)));
  } catch (error) {
    say(`${kind.name}: old releases can't be removed: ${messageOf(error)}`);
  }
}

/** Tells the operator at the terminal too. */
function telling({ say }: SupervisorDeps, kind: Kind, work: ChangeWork<Step>): ChangeWork<Step> {
  const tell = (step: Step): void => {
    const words = { STARTING: "starting", TAKES_CALLS: "is good", DRAINED: "has ended", FAILED: "failed" };
    const { instance, version, cause } = step;
    const why = cause === "" ? "" : `: ${cause}`;
    if (step.step === "FINISHED") say(`${kind.name}: all are of ${version}`);
    else if (step.step === "WENT_BACK") say(`${kind.name}: went back to ${version}${why}`);
    else say(`${kind.name}: ${instance} (${version}) ${words[step.step]}${why}`);
    work.tell(step);
  };
  return { ...work, tell };
}

function processesOf(deps: SupervisorDeps, kind: Kind): Process[] {
  const names = deps.crew.instances(kind).map(({ name }) => name);
  return deps
    .processes()
    .filter(({ name }) => names.includes(name))
    .map((status) => message(deps, status));
}

function message({ crew }: SupervisorDeps, status: ProcessStatus): Process {
  const kind = crew.find(status.name)?.kind;
  return processMessage(status, kind !== undefined && crew.canary(kind)?.name === status.name);
}
