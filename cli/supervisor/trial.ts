import { setTimeout as delay } from "node:timers/promises";
import { deferred } from "../deferred.ts";
import type { Kind } from "../topology.ts";
import type { Instance } from "./crew.ts";
import type { Fleet } from "./fleet.ts";
import type { MeshView } from "./mesh-view.ts";
import { describeExit } from "./process.ts";
import { callsBetween, isWorse } from "./proof.ts";

export interface TrialDeps {
  readonly fleet: Pick<Fleet, "watch">;
  readonly view: MeshView;
  /** How long new instances are watched before an old one ends. */
  readonly watchMs: number;
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
  /** Watches for a while. Throws `NotGood` when one has ended, or fails more of its calls than the old ones do. */
  run(old: readonly Instance[], signal: AbortSignal): Promise<void>;
  close(): void;
}

/** Watches `fresh`, also while nobody asks: one that has ended in between is not good. */
export function createTrial({ fleet, view, watchMs }: TrialDeps, kind: Kind, fresh: readonly Instance[]): Trial {
  const ended = deferred<NotGood>();
  const close = fleet.watch((event, { name }) => {
    if (event.kind !== "ended" || !fresh.some((one) => one.name === name)) return;
    ended.resolve(new NotGood(name, describeExit(event.exit)));
  });
  return {
    async run(old, signal) {
      const before = await view.calls(kind.name);
      const timer = new AbortController();
      const watched = delay(watchMs, undefined, { signal: AbortSignal.any([signal, timer.signal]) });
      const failure = await Promise.race([watched, ended.promise]).finally(() => timer.abort());
      watched.catch(() => undefined);
      if (failure !== undefined) throw failure;
      const after = await view.calls(kind.name);
      const callsOf = (instances: readonly Instance[]) =>
        callsBetween(
          before,
          after,
          instances.map(({ name }) => name),
        );
      for (const one of fresh) {
        const [its, others] = [callsOf([one]), callsOf(old)];
        if (isWorse(its, others)) throw new NotGood(one.name, `failed ${its.failed} of ${its.total} calls`);
      }
    },
    close,
  };
}
