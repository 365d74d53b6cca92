import { setTimeout as delay } from "node:timers/promises";
import { deferred } from "../deferred.ts";
import type { Kind } from "../topology.ts";
import type { Instance } from "./crew.ts";
import type { Fleet } from "./fleet.ts";
import type { MeshView, Reported } from "./mesh-view.ts";
import { describeExit } from "./process.ts";
import { callsBetween, isWorse } from "./proof.ts";

export interface TrialDeps {
  readonly fleet: Pick<Fleet, "watch">;
  readonly view: MeshView;
  /** How long new instances are watched before an old one ends. */
  readonly watchMs: number;
  /** How long control may take to tell of their calls: nobody is taken for good who was not seen. */
  readonly lookMs: number;
}

/** Why a new instance is not good enough. */
export class NotGood extends Error {
  override readonly name = "NotGood";
  readonly instance: string;

  constructor(instance: string, why: string) {
    super(`${instance} ${why}`);
    this.instance = instance;
  }
}

/** Watches new instances of a kind. */
export interface Trial {
  /** One more new instance, from before it is started: none of its ends is missed. */
  add(name: string): void;
  /**
   * Watches for a while. Throws `NotGood` when one has ended, fails more of its calls than the old ones do, or was not
   * seen by control in time.
   */
  run(old: readonly Instance[], signal: AbortSignal): Promise<void>;
  close(): void;
}

export function createTrial({ fleet, view, watchMs, lookMs }: TrialDeps, kind: Kind): Trial {
  const fresh = new Set<string>();
  const ended = deferred<NotGood>();
  const close = fleet.watch((event, { name }) => {
    if (event.kind === "ended" && fresh.has(name)) ended.resolve(new NotGood(name, describeExit(event.exit)));
  });
  const look = async (since: ReadonlyMap<string, Reported>, signal: AbortSignal) => {
    const late = AbortSignal.timeout(lookMs);
    try {
      return await view.calls({ service: kind.name, wanted: fresh, since }, AbortSignal.any([signal, late]));
    } catch (error) {
      const [name] = fresh;
      if (!late.aborted || signal.aborted || name === undefined) throw error;
      throw new NotGood(name, `was not judged: control has told nothing of its calls for ${lookMs / 1_000} s`);
    }
  };
  const judge = async (old: readonly Instance[], signal: AbortSignal): Promise<void> => {
    const before = await look(new Map(), signal);
    await delay(watchMs, undefined, { signal });
    const after = await look(before, signal);
    const names = old.map(({ name }) => name);
    for (const name of fresh) {
      const its = callsBetween(before, after, [name]);
      if (isWorse(its, callsBetween(before, after, names))) {
        throw new NotGood(name, `failed ${its.failed} of ${its.total} calls`);
      }
    }
  };
  return {
    add: (name) => void fresh.add(name),
    async run(old, signal) {
      const over = new AbortController();
      const judged = judge(old, AbortSignal.any([signal, over.signal]));
      judged.catch(() => undefined);
      const failure = await Promise.race([ended.promise, judged]).finally(() => over.abort());
      if (failure !== undefined) throw failure;
    },
    close,
  };
}
