import type { Logger } from "pino";
import { meshFailure } from "#mesh/contract/errors.ts";
import { repeat } from "#mesh/repeat.ts";

/** How long a change made by another process takes to be seen, at the most. This process's own are seen at once. */
const WATCH_INTERVAL_MS = 500;

/** How many calls of one process wait for a change of one sort of thing at once. */
export const MAX_WATCHES = 5_000;

/** Something that changes: its version grows with every change. */
export interface Versioned {
  readonly id: string;
  readonly version: number;
}

/** Tells who waits when a thing changes, whichever process changed it. */
export interface Changes<T extends Versioned> {
  /** Says that this process changed the thing, which now is like this. */
  publish(thing: T): void;
  /** Starts to watch; what is published from now on is not missed. Throws OVERLOADED when too many watch. */
  watch(id: string): Watch<T>;
  /** Ends every wait. */
  close(): Promise<void>;
}

/** One call's view on one thing. It holds the latest state that it was told of, however slow its reader is. */
export interface Watch<T extends Versioned> {
  /** The thing as soon as it is newer than `version`; undefined when `signal` aborts first. One wait at a time. */
  next(version: number, signal: AbortSignal): Promise<T | undefined>;
  /** Stops watching. */
  close(): void;
}

interface Watcher<T> {
  readonly id: string;
  latest: T | undefined;
  waiting: { readonly version: number; readonly resolve: (thing: T | undefined) => void } | undefined;
}

/** Starts to tell of changes. One reader of the database serves all calls, and reads nothing while none waits. */
export function startChanges<T extends Versioned>(deps: {
  /** What changes, for the log and for who is refused: `orders`. */
  readonly name: string;
  /** Those of the things that are newer than the version given. */
  readonly read: (known: readonly Versioned[]) => Promise<readonly T[]>;
  readonly log: Pick<Logger, "warn">;
  readonly intervalMs?: number;
}): Changes<T> {
  const { name, log, intervalMs = WATCH_INTERVAL_MS } = deps;
  const watchers = new Map<string, Set<Watcher<T>>>();
  let count = 0;
  let closed = false;

  const publish = (thing: T): void => {
    for (const watcher of watchers.get(thing.id) ?? []) offer(watcher, thing);
  };
  const reader = repeat({ name: `watching ${name}`, everyMs: intervalMs, log }, async () => {
    const known = [...watchers.values()].flatMap(oldestWait);
    if (known.length === 0) return;
    for (const thing of await deps.read(known)) publish(thing);
  });

  return {
    publish,
    watch: (id) => {
      if (count >= MAX_WATCHES) {
        throw meshFailure("OVERLOADED", `Too many calls watch ${name} here.`, { retryDelayMs: 1_000 });
      }
      count += 1;
      const watcher: Watcher<T> = { id, latest: undefined, waiting: undefined };
      const group = watchers.get(id) ?? new Set();
      watchers.set(id, group.add(watcher));
      return {
        next: (version, signal) => (closed ? Promise.resolve(undefined) : waitFor(watcher, version, signal)),
        close: () => {
          if (!group.delete(watcher)) return;
          count -= 1;
          if (group.size === 0 && watchers.get(id) === group) watchers.delete(id);
        },
      };
    },
    close: async () => {
      closed = true;
      for (const watcher of [...watchers.values()].flatMap((group) => [...group])) watcher.waiting?.resolve(undefined);
      await reader.close();
    },
  };
}

function offer<T extends Versioned>(watcher: Watcher<T>, thing: T): void {
  if (watcher.latest !== undefined && watcher.latest.version >= thing.version) return;
  watcher.latest = thing;
  if (watcher.waiting !== undefined && thing.version > watcher.waiting.version) watcher.waiting.resolve(thing);
}

async function waitFor<T extends Versioned>(
  watcher: Watcher<T>,
  version: number,
  signal: AbortSignal,
): Promise<T | undefined> {
  if (watcher.latest !== undefined && watcher.latest.version > version) return watcher.latest;
  if (signal.aborted) return undefined;
  let onAbort = (): void => {};
  try {
    return await new Promise<T | undefined>((resolve) => {
      onAbort = () => resolve(undefined);
      signal.addEventListener("abort", onAbort);
      watcher.waiting = { version, resolve };
    });
  } finally {
    signal.removeEventListener("abort", onAbort);
    watcher.waiting = undefined;
  }
}

/** The oldest version that anybody waits past; nothing when nobody waits for this one. */
function oldestWait<T>(group: ReadonlySet<Watcher<T>>): readonly Versioned[] {
  const waits = [...group].flatMap(({ id, waiting }) =>
    waiting === undefined ? [] : [{ id, version: waiting.version }],
  );
  const [first, ...others] = waits;
  return first === undefined ? [] : [others.reduce((a, b) => (a.version <= b.version ? a : b), first)];
}
