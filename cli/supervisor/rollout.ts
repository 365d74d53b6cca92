import { RpcError } from "#mesh/contract/errors.ts";
import { messageOf } from "../operator-error.ts";
import type { Release } from "../releases/store.ts";
import type { Kind } from "../topology.ts";
import type { ChangeWork } from "./changes.ts";
import type { Crew, Instance } from "./crew.ts";
import { runsAlready, stopping } from "./failures.ts";
import { regulars } from "./scale.ts";
import { createTrial, NotGood, type Trial, type TrialDeps } from "./trial.ts";

/** A step of a rollout; see mesh.supervisor.v1.RolloutStep. */
export interface Step {
  readonly step: "STARTING" | "TAKES_CALLS" | "DRAINED" | "FAILED" | "FINISHED" | "WENT_BACK";
  /** Empty for the rollout as a whole. */
  readonly instance: string;
  readonly version: string;
  /** Why, when it failed. */
  readonly cause: string;
}

export interface RolloutDeps extends TrialDeps {
  readonly crew: Crew;
}

/** Whether a release can be rolled out. Throws RELEASE_UNUSABLE, or TOO_MANY_INSTANCES when there is no room. */
export function checkRollout(crew: Crew, kind: Kind, release: Release): void {
  if (oldOnes(crew, kind, release).length === 0) {
    throw runsAlready(kind.name, release.version);
  }
  if (kind.atMost > 1) crew.checkRoom(kind, 1);
}

function oldOnes(crew: Crew, kind: Kind, { version }: Release): readonly Instance[] {
  return regulars(crew, kind).filter(({ release }) => release.version !== version);
}

/** A rollout as it goes. */
interface Progress {
  readonly deps: RolloutDeps;
  readonly kind: Kind;
  readonly release: Release;
  readonly work: ChangeWork<Step>;
  readonly trial: Trial;
  /** The new ones that there are. */
  readonly fresh: Instance[];
  /** The old ones that have ended. */
  readonly gone: Instance[];
}

/**
 * Brings in another build: a new instance takes calls and proves itself, then an old one ends, until all are new; where
 * there can be but one, the old one ends first. A canary of that build is the first of the new ones; one of another build
 * ends. When a new one fails, all new ones end, and as many old ones are there as before. Throws only when the shop is
 * being stopped.
 */
export async function rollOut(
  deps: RolloutDeps,
  { kind, release }: { readonly kind: Kind; readonly release: Release },
  work: ChangeWork<Step>,
): Promise<void> {
  const { crew } = deps;
  const before = crew.release(kind);
  const trial = createTrial(deps, kind);
  const progress: Progress = { deps, kind, release, work, trial, fresh: [], gone: [] };
  const end = (step: "FINISHED" | "WENT_BACK", { version }: Release, cause = ""): void =>
    work.tell({ step, instance: "", version, cause });
  try {
    await takeTurns(progress);
    for (const one of oldOnes(crew, kind, release)) await replace(one, progress);
    crew.setRelease(release);
    end("FINISHED", release);
  } catch (error) {
    if (work.signal.aborted) throw stopping();
    const [cause, instance] = [messageOf(error), failedInstance(error)];
    work.tell({ step: "FAILED", instance, version: release.version, cause });
    await goBack(instance, progress);
    end("WENT_BACK", before, cause);
  } finally {
    trial.close();
  }
}

function failedInstance(error: unknown): string {
  if (error instanceof NotGood) return error.instance;
  return error instanceof RpcError ? (error.metadata.instance ?? "") : "";
}

/**
 * From here on all take turns: a share of calls that was meant for one is not right while old and new change places, and
 * one that was left from an earlier run would keep the calls from a version that it does not name.
 */
async function takeTurns(progress: Progress): Promise<void> {
  const { deps, kind } = progress;
  await takeCanary(progress);
  // What there is but one of has nothing to be split.
  if (kind.atMost > 1) await deps.view.clearSplit(kind.name);
}

async function takeCanary({ deps: { crew }, kind, release, trial, fresh }: Progress): Promise<void> {
  const canary = crew.canary(kind);
  if (canary === undefined) return;
  crew.setCanary(kind, undefined);
  if (canary.release.version === release.version) {
    fresh.push(canary);
    trial.add(canary.name);
  } else {
    await crew.end(canary.name);
  }
}

async function replace(one: Instance, progress: Progress): Promise<void> {
  const { kind, fresh, gone, release, work, trial } = progress;
  if (kind.atMost === 1) await endOld(one, progress);
  if (fresh.length < gone.length + (kind.atMost === 1 ? 0 : 1)) await bringIn(release, progress);
  const old = oldOnes(progress.deps.crew, kind, release);
  await trial.run(old, work.signal);
  const instance = fresh.at(-1)?.name ?? "";
  work.tell({ step: "TAKES_CALLS", instance, version: release.version, cause: "" });
  if (kind.atMost > 1) await endOld(one, progress);
}

async function bringIn(release: Release, { deps: { crew }, fresh, trial, work }: Progress): Promise<void> {
  const starting = (instance: string): void => {
    trial.add(instance);
    work.tell({ step: "STARTING", instance, version: release.version, cause: "" });
  };
  fresh.push(await crew.add(release, { signal: work.signal, starting }));
}

async function endOld(one: Instance, { deps: { crew }, gone, work }: Progress): Promise<void> {
  await crew.end(one.name);
  gone.push(one);
  work.tell({ step: "DRAINED", instance: one.name, version: one.release.version, cause: "" });
}

/** The one that failed ends at once; each of the others when an old one is there in its place. */
async function goBack(failed: string, { deps: { crew }, fresh, gone, work }: Progress): Promise<void> {
  await crew.end(failed);
  const others = fresh.filter(({ name }) => name !== failed);
  for (const { release } of gone) {
    const starting = (instance: string): void =>
      work.tell({ step: "STARTING", instance, version: release.version, cause: "" });
    await crew.add(release, { signal: work.signal, insist: true, starting }).catch((error: unknown) => {
      if (work.signal.aborted) throw stopping();
      // It was good before, and is tried again and again.
      work.tell({ step: "FAILED", instance: failedInstance(error), version: release.version, cause: messageOf(error) });
    });
    const next = others.pop();
    if (next !== undefined) await crew.end(next.name);
  }
  await Promise.all(others.map(({ name }) => crew.end(name)));
}
