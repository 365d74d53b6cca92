import { setTimeout as delay } from "node:timers/promises";
import { deferred } from "../deferred.ts";
import { messageOf, OperatorError } from "../operator-error.ts";
import type { Place, Places } from "../places.ts";
import type { Release } from "../releases/store.ts";
import type { Kind } from "../topology.ts";
import { fail, stopping, tooMany, unknownProgram } from "./failures.ts";
import type { Fleet } from "./fleet.ts";
import { headline } from "./headline.ts";
import type { MeshView } from "./mesh-view.ts";
import { describeExit, type Exit, type Program, type StopOptions } from "./process.ts";

/** One process of a kind, with the build it is of. */
export interface Instance {
  readonly name: string;
  readonly kind: Kind;
  readonly release: Release;
}

/** The instances of all kinds: who there is, who comes and who goes. */
export interface Crew {
  /** Throws PROGRAM_UNKNOWN. */
  kindOf(name: string): Kind;
  /** In the order of their numbers, the canary among them. */
  instances(kind: Kind): readonly Instance[];
  /** The instance of that name; undefined when there is none. */
  find(name: string): Instance | undefined;
  /** The build of which new instances of a kind are. */
  release(kind: Kind): Release;
  setRelease(release: Release): void;
  /** The instance that is tried out beside the others. */
  canary(kind: Kind): Instance | undefined;
  setCanary(kind: Kind, name: string | undefined): void;
  /** Throws TOO_MANY_INSTANCES when there is no room for so many more beside those that there are. */
  checkRoom(kind: Kind, more: number): void;
  /**
   * Starts an instance, and settles when it takes calls. Throws INSTANCE_FAILED with nothing left of it, or when the shop
   * is being stopped. With `insist` a start that fails is repeated, and what is not ready in time is left to be tried
   * again.
   */
  add(release: Release, options: AddOptions): Promise<Instance>;
  /** Ends an instance in order. */
  end(name: string): Promise<void>;
}

export interface AddOptions {
  readonly signal: AbortSignal;
  readonly insist?: boolean;
  /** Told the name of the instance, before it is started. */
  readonly starting?: (name: string) => void;
}

export interface CrewOptions {
  readonly kinds: readonly Kind[];
  readonly fleet: Fleet;
  readonly places: Places;
  readonly view: MeshView;
  /** The program that runs a release at a place. */
  readonly programOf: (place: Place, release: Release) => Program;
  /** Those with which the run begins, one of each kind. */
  readonly releases: readonly Release[];
  /** How many processes that keep data PostgreSQL has room for. */
  readonly maxWithData: () => number;
  /** How long an instance may take until it takes calls. */
  readonly readyMs: number;
  readonly stop: StopOptions;
}

export function createCrew(options: CrewOptions): Crew {
  const { kinds, view, fleet } = options;
  const roster = createRoster(options);
  const releases = new Map(options.releases.map((release) => [release.kind, release]));
  const canaries = new Map<string, string>();
  const kindOf = (name: string): Kind => {
    const kind = kinds.find((one) => one.name === name);
    if (kind === undefined) throw unknownProgram(name);
    return kind;
  };
  return {
    ...roster,
    kindOf,
    release(kind) {
      const found = releases.get(kind.name);
      if (found === undefined) throw new Error(`no release of ${kind.name} was taken`);
      return found;
    },
    setRelease: (next) => void releases.set(next.kind, next),
    canary: (kind) => roster.instances(kind).find(({ name }) => canaries.get(kind.name) === name),
    setCanary(kind, name) {
      if (name === undefined) canaries.delete(kind.name);
      else canaries.set(kind.name, name);
    },
    async add(release, { signal, insist = false, starting }) {
      if (signal.aborted) throw stopping();
      const kind = kindOf(release.kind);
      const place = await roster.placeFor(kind);
      starting?.(place.name);
      const failure = await failureOf(
        takeIn(options.programOf(place, release), { fleet, view, insist, signal, readyMs: options.readyMs }),
      );
      // The fleet is being stopped with all that is in it.
      if (signal.aborted) throw stopping();
      if (failure === undefined) return { name: place.name, kind, release };
      if (!insist) await roster.end(place.name);
      throw fail("INSTANCE_FAILED", failure, { instance: place.name });
    },
  };
}

type Roster = Pick<Crew, "instances" | "find" | "checkRoom" | "end"> & {
  /** A place for one more. What there is but one of has its own. */
  placeFor(kind: Kind): Promise<Place>;
};

/** Who there is, and where. */
function createRoster({ fleet, places, maxWithData, stop }: CrewOptions): Roster {
  const placeOf = (name: string): Place | undefined => places.all().find((place) => place.name === name);
  const instanceAt = ({ name, kind }: Place): readonly Instance[] => {
    const program = fleet.programs().find((one) => one.name === name);
    if (program === undefined) return [];
    return [{ name, kind, release: { kind: kind.name, version: program.version, file: program.file } }];
  };
  const checkRoom = (kind: Kind, more: number): void => {
    if (!kind.ownsData) return;
    const limit = maxWithData();
    const withData = places.all().filter((place) => place.kind.ownsData).length;
    if (withData + more > limit) throw tooMany("the processes that share PostgreSQL", limit);
  };
  return {
    instances: (kind) =>
      places
        .all()
        .filter((place) => place.kind.name === kind.name)
        .flatMap(instanceAt)
        .toSorted((one, other) => one.name.localeCompare(other.name, "en", { numeric: true })),
    find: (name) =>
      places
        .all()
        .filter((place) => place.name === name)
        .flatMap(instanceAt)[0],
    checkRoom,
    async placeFor(kind) {
      const kept = kind.atMost === 1 ? places.all().find((place) => place.kind.name === kind.name) : undefined;
      if (kept !== undefined) return kept;
      checkRoom(kind, 1);
      const [place] = await places.take([kind]);
      if (place === undefined) throw new Error(`no place for ${kind.name}`);
      return place;
    },
    async end(name) {
      await fleet.remove(name, stop);
      const place = placeOf(name);
      // What there is but one of keeps its port for the whole run: the others know it.
      if (place !== undefined && place.kind.atMost > 1) places.giveBack(name);
    },
  };
}

/** Starts a program, and settles when everybody knows it as one that takes calls. Rejects when that takes too long. */
async function takeIn(
  program: Program,
  options: Pick<CrewOptions, "fleet" | "view" | "readyMs"> & { readonly insist: boolean; readonly signal: AbortSignal },
): Promise<void> {
  const { fleet, view, readyMs, insist } = options;
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, options.signal]);
  const late = delay(readyMs, true, { signal }).catch(() => false);
  // Otherwise it would be waited for while it crashes again and again.
  const crashed = deferred<Exit>();
  const close = fleet.watch((event, { name }) => {
    if (event.kind === "ended" && name === program.name && !insist) crashed.resolve(event.exit);
  });
  const started = fleet
    .start([program], { insist })
    .then(() => view.serving({ service: program.service, instance: program.name }, signal))
    .then(() => false);
  try {
    const outcome = await Promise.race([started, crashed.promise, late]);
    if (outcome === false) return;
    const why = outcome === true ? `took no calls after ${readyMs / 1000} s` : describeExit(outcome);
    throw new OperatorError(`${program.name} ${why}`);
  } finally {
    over.abort();
    close();
    started.catch(() => undefined);
  }
}

/** Why it failed, in words; undefined when it did not. */
async function failureOf(work: Promise<void>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    const cause = error instanceof OperatorError ? headline(error.details) : undefined;
    return cause === undefined ? messageOf(error) : `${messageOf(error)}: ${cause}`;
  }
}
