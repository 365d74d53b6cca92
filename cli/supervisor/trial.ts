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
  /** One more new instance, from before it is started: none of its ends is missed. */
  add(name: string): void;
  /** Watches for a while. Throws `NotGood` when one has ended, or fails more of its calls than the old ones do. */
  run(old: readonly Instance[], signal: AbortSignal): Promise<void>;
  close(): void;
}

export function createTrial({ fleet, view, watchMs }: TrialDeps, kind: Kind): Trial {
  const fresh = new Set<string>();
  const ended = deferred<NotGood>();
  const close = fleet.watch((event, { name }) => {
    if (event.kind === "ended" && fresh.has(name)) ended.resolve(new NotGood(name, describeExit(event.exit)));
  });
  return {
    add: (name) => void fresh.add(name),
    async run(old, signal) {
      const before = await view.calls(kind.name);
      const timer = new AbortController();
      const watched = delay(watchMs, undefined, { signal: AbortSignal.any([signal, timer.signal]) });
      const failure = await Promise.race([ended.promise, watched]).finally(() => timer.abort());
      watched.catch(() => undefined);
      if (failure !== undefined) throw failure;
      const after = await view.calls(kind.name);
      const others = callsBetween(
        before,
        after,
        old.map(({ name }) => name),
      );
      for (const name of fresh) {
        const its = callsBetween(before, after, [name]);
        if (isWorse(its, others)) throw new NotGood(name, `failed ${its.failed} of ${its.total} calls`);
      }
    },
    close,
  };
}
