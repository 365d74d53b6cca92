import { fail, ok, type Result } from "#mesh/result.ts";

/** How long an instance stays registered without a report. */
export const LEASE_MS = 5_000;
/** How long an instance is kept that may only be late: after a restart, or a standstill of the control plane itself. */
export const RETURN_MS = 15_000;
/** How many instances may be registered. */
export const MAX_INSTANCES = 1_000;
/** Of them, those of one service: whoever takes one over must not keep all others from coming back. */
export const MAX_INSTANCES_PER_SERVICE = 500;
/** Nobody looks after the registry for so long only when this very process stood still, or was held still. */
const STANDSTILL_MS = 2_000;
/**
 * So many leases that end together, and are more than half of all, tell of a broken network and not of dead instances. No
 * service counts for more instances than that: nobody can make a network look broken, or whole, by those of its own.
 */
const MANY = 3;

/** What an instance reports of itself; it is UNCONFIRMED while it has not come back. */
export type ReportedState = "SERVING" | "NOT_SERVING" | "DRAINING";
export type State = ReportedState | "UNCONFIRMED";

/** One process of a service. */
export interface Instance {
  readonly name: string;
  readonly service: string;
  readonly version: string;
  readonly host: string;
  readonly port: number;
  readonly startTime: Date | undefined;
}

/** What it has done since its start. */
export interface Stats {
  readonly callsTotal: bigint;
  readonly callsFailed: bigint;
  readonly callsShed: bigint;
  readonly callsRunning: bigint;
  readonly concurrencyLimit: bigint;
}

export interface Report {
  readonly state: ReportedState;
  readonly stats: Stats | undefined;
}

/** An instance as the registry knows it. */
export interface Registered {
  readonly instance: Instance;
  readonly state: State;
  readonly stats: Stats | undefined;
  readonly registerTime: Date;
  readonly reportTime: Date | undefined;
  /** The registration that keeps it; undefined while it is UNCONFIRMED. */
  readonly session: Session | undefined;
  /** By which moment it has to be heard of again, on the clock of `Moment.ms`. */
  readonly leaseEndMs: number;
}

/** The registration of one instance for as long as its stream lives. */
export interface Session {
  readonly instance: Instance;
}

/** A moment on two clocks: leases go by the one that is never set, and people are shown the other. */
export interface Moment {
  /** Milliseconds from some fixed point on. */
  readonly ms: number;
  readonly time: Date;
}

/** What a step of the registry has changed. */
export interface Change {
  /** The services of which other endpoints are to be handed out than before. */
  readonly services: ReadonlySet<string>;
  /** The registrations that hold no more, and whose end is not their own doing. */
  readonly replaced: readonly Session[];
  readonly lapsed: readonly Session[];
}

/**
 * Which instances there are, as a function of what happened and when. Time comes in with each step and never goes back.
 *
 * An instance is known by its service and its name, so that no service can take the place of another's instance.
 */
export interface Registry {
  /**
   * Takes an instance in, in the place of another one of its name. It takes calls until it reports otherwise; a process
   * that registers anew is at what it last reported.
   */
  register(instance: Instance, now: Moment): Result<Change & { readonly session: Session }, "full">;
  /** Notes a report, and extends the lease. Undefined when the session holds no more. Who drains, drains to the end. */
  report(session: Session, report: Report, now: Moment): Change | undefined;
  /** Takes out the instance of a session whose stream has ended. */
  leave(session: Session, now: Moment): Change;
  /** Takes out those whose lease has ended. To be called at least every second. */
  expire(now: Moment): Change;
  /** All of them, by service and name. */
  list(): readonly Registered[];
  /** Those that are handed out, of all services. */
  handedOut(): readonly Instance[];
  /** Those of one service that are handed out, by name. */
  endpointsOf(service: string): readonly Instance[];
  /** The versions of a service that are registered and not about to end. */
  versionsOf(service: string): ReadonlySet<string>;
}

/** A registry that knows these instances from before a restart: they are UNCONFIRMED. */
export function createRegistry(known: readonly Instance[], now: Moment): Registry {
  return new LeaseRegistry(known, now);
}

/** Whether calls are sent to it. */
function isHandedOut({ state }: Registered): boolean {
  return state === "SERVING" || state === "UNCONFIRMED";
}

class LeaseRegistry implements Registry {
  readonly #services = new Map<string, Map<string, Registered>>();
  #count = 0;
  #attendedMs: number;
  #standstillUntilMs: number;

  constructor(known: readonly Instance[], now: Moment) {
    this.#attendedMs = now.ms;
    this.#standstillUntilMs = now.ms;
    for (const instance of known.slice(0, MAX_INSTANCES)) {
      this.#put({ ...newcomer(instance, undefined, now), state: "UNCONFIRMED", leaseEndMs: now.ms + RETURN_MS });
    }
  }

  register(instance: Instance, now: Moment): Result<Change & { readonly session: Session }, "full"> {
    this.#attend(now);
    const before = this.#find(instance);
    const isFull = this.#count >= MAX_INSTANCES || this.#of(instance.service).length >= MAX_INSTANCES_PER_SERVICE;
    if (before === undefined && isFull) return fail("full");
    const session: Session = { instance };
    const after = { ...newcomer(instance, session, now), ...(before === undefined ? {} : keptBy(instance, before)) };
    this.#put(after);
    const replaced = before?.session === undefined ? [] : [before.session];
    const isNews = !isSameEndpoint(before && isHandedOut(before) ? before.instance : undefined, after);
    return ok({ session, services: new Set(isNews ? [instance.service] : []), replaced, lapsed: [] });
  }

  report(session: Session, report: Report, now: Moment): Change | undefined {
    this.#attend(now);
    const before = this.#holdOf(session);
    if (before === undefined) return undefined;
    const state = before.state === "DRAINING" ? "DRAINING" : report.state;
    const after = { ...before, state, stats: report.stats, reportTime: now.time, leaseEndMs: now.ms + LEASE_MS };
    this.#put(after);
    return changeOf(isHandedOut(before) === isHandedOut(after) ? [] : [session.instance.service]);
  }

  leave(session: Session, now: Moment): Change {
    this.#attend(now);
    const before = this.#holdOf(session);
    if (before === undefined) return changeOf([]);
    // Streams that broke while nobody could be heard say little: their instances may only be late.
    if (now.ms < this.#standstillUntilMs && isHandedOut(before)) {
      this.#await(before, now);
      return changeOf([]);
    }
    this.#remove(before);
    return changeOf(isHandedOut(before) ? [session.instance.service] : []);
  }

  expire(now: Moment): Change {
    this.#attend(now);
    const late = this.#all().filter(({ leaseEndMs }) => leaseEndMs <= now.ms);
    const lateSessions = late.flatMap(({ session }) => session ?? []);
    const isCutOff = lateSessions.length >= MANY && this.#areMost(lateSessions);
    const gone = late.filter((one) => !(isCutOff && one.session !== undefined && isHandedOut(one)));
    for (const one of late) {
      if (gone.includes(one)) this.#remove(one);
      else this.#await(one, now);
    }
    const services = gone.filter(isHandedOut).map(({ instance }) => instance.service);
    return { ...changeOf(services), lapsed: lateSessions };
  }

  list(): readonly Registered[] {
    const byName = (a: Registered, b: Registered): number =>
      compare(a.instance.service, b.instance.service) || compare(a.instance.name, b.instance.name);
    return this.#all().toSorted(byName);
  }

  handedOut(): readonly Instance[] {
    return this.#all()
      .filter(isHandedOut)
      .map(({ instance }) => instance);
  }

  endpointsOf(service: string): readonly Instance[] {
    const handedOut = this.#of(service).filter(isHandedOut);
    return handedOut.map(({ instance }) => instance).toSorted((a, b) => compare(a.name, b.name));
  }

  versionsOf(service: string): ReadonlySet<string> {
    const staying = this.#of(service).filter(({ state }) => state !== "DRAINING");
    return new Set(staying.map(({ instance }) => instance.version));
  }

  /** After a standstill of this process nobody is late by their own fault: all leases begin anew. */
  #attend(now: Moment): void {
    if (now.ms - this.#attendedMs > STANDSTILL_MS) {
      this.#standstillUntilMs = now.ms + RETURN_MS;
      for (const one of this.#all()) this.#put({ ...one, leaseEndMs: Math.max(one.leaseEndMs, now.ms + LEASE_MS) });
    }
    this.#attendedMs = Math.max(this.#attendedMs, now.ms);
  }

  /** Whether these are more than half of all that report, when no service counts for more than `MANY` of its instances. */
  #areMost(sessions: readonly Session[]): boolean {
    let late = 0;
    let all = 0;
    for (const [service, instances] of this.#services) {
      const reporting = [...instances.values()].filter(({ session }) => session !== undefined).length;
      if (reporting === 0) continue;
      const weight = Math.min(reporting, MANY);
      all += weight;
      late += (weight * sessions.filter(({ instance }) => instance.service === service).length) / reporting;
    }
    return late * 2 > all;
  }

  #await(one: Registered, now: Moment): void {
    this.#put({ ...one, state: "UNCONFIRMED", session: undefined, leaseEndMs: now.ms + RETURN_MS });
  }

  #all(): Registered[] {
    return [...this.#services.values()].flatMap((instances) => [...instances.values()]);
  }

  #of(service: string): Registered[] {
    return [...(this.#services.get(service)?.values() ?? [])];
  }

  #find({ service, name }: Instance): Registered | undefined {
    return this.#services.get(service)?.get(name);
  }

  #holdOf(session: Session): Registered | undefined {
    const found = this.#find(session.instance);
    return found?.session === session ? found : undefined;
  }

  #put(one: Registered): void {
    const { service, name } = one.instance;
    const instances = this.#services.get(service) ?? new Map<string, Registered>();
    if (!instances.has(name)) this.#count += 1;
    this.#services.set(service, instances.set(name, one));
  }

  #remove({ instance: { service, name } }: Registered): void {
    const instances = this.#services.get(service);
    if (instances?.delete(name) !== true) return;
    this.#count -= 1;
    if (instances.size === 0) this.#services.delete(service);
  }
}

function newcomer(instance: Instance, session: Session | undefined, now: Moment): Registered {
  return {
    instance,
    state: "SERVING",
    stats: undefined,
    registerTime: now.time,
    reportTime: undefined,
    session,
    leaseEndMs: now.ms + LEASE_MS,
  };
}

/** What stays known of a process that registers anew, over another stream. */
function keptBy(instance: Instance, before: Registered): Partial<Registered> {
  const startMs = instance.startTime?.getTime();
  if (startMs === undefined || startMs !== before.instance.startTime?.getTime()) return {};
  const { stats, registerTime, reportTime } = before;
  return { stats, registerTime, reportTime, state: before.state === "UNCONFIRMED" ? "SERVING" : before.state };
}

/** Whether callers find the same as before. */
function isSameEndpoint(before: Instance | undefined, after: Registered): boolean {
  if (!isHandedOut(after)) return before === undefined;
  const { host, port, version } = after.instance;
  return before?.host === host && before.port === port && before.version === version;
}

function changeOf(services: readonly string[]): Change {
  return { services: new Set(services), replaced: [], lapsed: [] };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
