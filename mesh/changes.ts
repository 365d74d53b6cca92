import type { Logger } from "pino";
import { meshFailure } from "#mesh/contract/errors.ts";
import { repeat } from "#mesh/repeat.ts";

/** How long a change made by another process takes to be seen, at the most. This process's own are seen at once. */
const WATCH_INTERVAL_MS = 500;

/** How many calls of one process watch one sort of thing at once. */
export const MAX_WATCHES = 5_000;

/** How many different things they watch together: those that somebody waits for are all read at every interval. */
export const MAX_WATCHED = 5_000;

/** How many of them one statement reads. */
const READ_BATCH = 1_000;

/** Something that changes: its version grows with every change, from 1 on. */
export interface Versioned {
  readonly id: string;
  readonly version: number;
}

/**
 * Tells who watches when a thing changes, whichever process changed it. A thing is held once, in its latest state,
 * however many watch it and however slow they are; a watch itself holds nothing.
 */
export interface Changes<T extends Versioned> {
  /** Says that this process changed the thing, which now is like this. */
  publish(thing: T): void;
  /** Says that this process changed these, which are then read, if anybody watches them. */
  changed(ids: readonly string[]): void;
  /** Starts to watch; what is published from now on is not missed. Throws OVERLOADED when too many watch, or too much. */
  watch(id: string): Watch<T>;
  /** The same for several things at once. */
  watchAll(ids: readonly string[]): WatchOfSeveral<T>;
  /** Ends every wait. */
  close(): Promise<void>;
}

/** One call's view on one thing. */
export interface Watch<T extends Versioned> {
  /** The thing as soon as it is newer than `version`; undefined when `signal` aborts first, or this process closes. One wait at a time. */
  next(version: number, signal: AbortSignal): Promise<T | undefined>;
  /** Stops watching. */
  close(): void;
}

/** One call's view on several things. */
export interface WatchOfSeveral<T extends Versioned> {
  /** Any of them as soon as it is newer than the version that is known of it, in turn when several are. Else as above. */
  next(known: Known, signal: AbortSignal): Promise<T | undefined>;
  close(): void;
}

/** The version that is known of a thing; undefined for none. */
export type Known = Pick<ReadonlyMap<string, number>, "get">;

/** A thing that somebody watches. */
interface Watched<T> {
  readonly id: string;
  latest: T | undefined;
  readonly watchers: Set<Watcher<T>>;
}

interface Watcher<T> {
  readonly things: readonly Watched<T>[];
  /** Whose turn it is: no thing that changes all the time keeps the others from being told of. */
  turn: number;
  waiting: { readonly known: Known; readonly resolve: (thing: T | undefined) => void } | undefined;
}

export interface ChangesOptions<T extends Versioned> {
  /** What changes, for the log and for who is refused: `orders`. */
  readonly name: string;
  /** Those of the things that are newer than the version given. Of at most `READ_BATCH`. */
  readonly read: (known: readonly Versioned[]) => Promise<readonly T[]>;
  readonly log: Pick<Logger, "warn">;
  readonly intervalMs?: number;
}

/** Starts to tell of changes. One reader of the database serves all calls, and reads nothing while none waits. */
export function startChanges<T extends Versioned>(options: ChangesOptions<T>): Changes<T> {
  const { name, log, intervalMs = WATCH_INTERVAL_MS } = options;
  const watched: WatchedThings<T> = new Map();
  let watches = 0;
  let closed = false;

  const publish = (thing: T): void => {
    const found = watched.get(thing.id);
    if (found !== undefined) offer(found, thing);
  };
  const read = async (known: readonly Versioned[]): Promise<void> => {
    for (let from = 0; from < known.length; from += READ_BATCH) {
      for (const thing of await options.read(known.slice(from, from + READ_BATCH))) publish(thing);
    }
  };
  const others = repeat({ name: `watching ${name}`, everyMs: intervalMs, log }, () =>
    read([...watched.values()].flatMap(waitedFor)),
  );
  const own = readSoon({ name, watched, read, log });
  const watchAll = (ids: readonly string[]): WatchOfSeveral<T> => {
    const added = ids.filter((id) => !watched.has(id)).length;
    if (watches >= MAX_WATCHES || watched.size + added > MAX_WATCHED) {
      throw meshFailure("OVERLOADED", `Too many calls watch ${name} here.`, { retryDelayMs: 1_000 });
    }
    watches += 1;
    const watcher = enter(watched, ids);
    return {
      next: (known, signal) => (closed ? Promise.resolve(undefined) : waitFor(watcher, known, signal)),
      close: () => {
        if (leave(watched, watcher)) watches -= 1;
      },
    };
  };
  return {
    publish,
    changed: own.changed,
    watch: (id) => {
      const { next, close } = watchAll([id]);
      return { next: (version, signal) => next({ get: () => version }, signal), close };
    },
    watchAll,
    close: async () => {
      closed = true;
      for (const { watchers } of watched.values()) for (const { waiting } of watchers) waiting?.resolve(undefined);
      await Promise.all([others.close(), own.close()]);
    },
  };
}

type WatchedThings<T> = Map<string, Watched<T>>;

function enter<T>(watched: WatchedThings<T>, ids: readonly string[]): Watcher<T> {
  const things = ids.map((id) => {
    const thing = watched.get(id) ?? { id, latest: undefined, watchers: new Set() };
    watched.set(id, thing);
    return thing;
  });
  const watcher: Watcher<T> = { things, turn: 0, waiting: undefined };
  for (const { watchers } of things) watchers.add(watcher);
  return watcher;
}

/** Whether the watcher was still there. */
function leave<T>(watched: WatchedThings<T>, watcher: Watcher<T>): boolean {
  let there = false;
  for (const thing of watcher.things) {
    there = thing.watchers.delete(watcher) || there;
    if (thing.watchers.size === 0 && watched.get(thing.id) === thing) watched.delete(thing.id);
  }
  return there;
}

function offer<T extends Versioned>(thing: Watched<T>, state: T): void {
  if (thing.latest !== undefined && thing.latest.version >= state.version) return;
  thing.latest = state;
  for (const { waiting } of thing.watchers) if (isNewer(state, waiting?.known)) waiting?.resolve(state);
}

function isNewer({ id, version }: Versioned, known: Known | undefined): boolean {
  return known !== undefined && version > (known.get(id) ?? 0);
}

async function waitFor<T extends Versioned>(
  watcher: Watcher<T>,
  known: Known,
  signal: AbortSignal,
): Promise<T | undefined> {
  const { things } = watcher;
  for (let i = 0; i < things.length; i += 1) {
    watcher.turn = (watcher.turn + 1) % things.length;
    const latest = things[watcher.turn]?.latest;
    if (latest !== undefined && isNewer(latest, known)) return latest;
  }
  if (signal.aborted) return undefined;
  let onAbort = (): void => {};
  try {
    return await new Promise<T | undefined>((resolve) => {
      onAbort = () => resolve(undefined);
      signal.addEventListener("abort", onAbort);
      watcher.waiting = { known, resolve };
    });
  } finally {
    signal.removeEventListener("abort", onAbort);
    watcher.waiting = undefined;
  }
}

/** A thing that somebody waits for, with the oldest version that anybody waits past; nothing when nobody waits. */
function waitedFor<T>({ id, watchers }: Watched<T>): readonly Versioned[] {
  let oldest: number | undefined;
  for (const { waiting } of watchers) {
    const version = waiting && (waiting.known.get(id) ?? 0);
    if (version !== undefined && version < (oldest ?? Number.POSITIVE_INFINITY)) oldest = version;
  }
  return oldest === undefined ? [] : [{ id, version: oldest }];
}

/** Reads the things that are said to have changed: one reading at a time, and what is said during one in the next. */
function readSoon<T extends Versioned>(options: {
  readonly name: string;
  readonly watched: ReadonlyMap<string, Watched<T>>;
  readonly read: (known: readonly Versioned[]) => Promise<void>;
  readonly log: Pick<Logger, "warn">;
}): { changed(ids: readonly string[]): void; close(): Promise<void> } {
  const { name, watched, read, log } = options;
  const told = new Set<string>();
  let closed = false;
  let reading: Promise<void> | undefined;
  const run = async (): Promise<void> => {
    while (told.size > 0 && !closed) {
      const things = [...told].flatMap((id) => watched.get(id) ?? []);
      told.clear();
      await read(things.map(({ id, latest }) => ({ id, version: latest?.version ?? 0 })));
    }
  };
  return {
    changed: (ids) => {
      for (const id of ids) if (watched.has(id)) told.add(id);
      if (told.size === 0 || closed) return;
      reading ??= run()
        // Whoever waits is told by the next look at what others changed.
        .catch((error: unknown) => log.warn({ err: error }, `what changed of ${name} could not be read`))
        .finally(() => {
          reading = undefined;
        });
    },
    close: async () => {
      closed = true;
      await reading;
    },
  };
}
