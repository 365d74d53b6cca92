import { setMaxListeners } from "node:events";
import type { Logger } from "pino";
import type { Clock } from "#mesh/clock.ts";
import { RpcError } from "#mesh/contract/errors.ts";
import type { Mesh } from "#mesh/mesh.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { repeat } from "#mesh/repeat.ts";
import { planErasure, waitMs } from "./domain-erasure.ts";
import type { Holder } from "./holders.ts";
import * as store from "./store-erasures.ts";

/** How many erasures one process works on at a time. */
const MAX_RUNNING = 16;

export interface ErasureTimings {
  /** How often this process looks for erasures that are due. */
  readonly pollMs: number;
  /** How long it holds one without a sign of life. */
  readonly leaseMs: number;
  /** How long a service may take. */
  readonly callMs: number;
}

const defaultTimings: ErasureTimings = { pollMs: 1_000, leaseMs: 10_000, callMs: 30_000 };

export interface ErasureDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly background: Mesh["background"];
  readonly holders: readonly Holder[];
  /** At least 0, less than 1. */
  readonly random: () => number;
  readonly timings?: ErasureTimings;
}

/** Moves erasures on until it is closed, those that another process left half-way among them. */
export interface ErasureRunner {
  /** Something may be due now. */
  wake(): void;
  /** Ends the work under way at once; whoever comes next goes on. */
  close(): Promise<void>;
}

/** Starts to look for erasures that are due, at once and then at every interval. */
export function startErasures(given: ErasureDeps): ErasureRunner {
  const deps = { ...given, timings: given.timings ?? defaultTimings };
  const { db, clock, log, timings } = deps;
  const closing = new AbortController();
  // Every call under way listens to it.
  setMaxListeners(MAX_RUNNING * given.holders.length, closing.signal);
  const running = new Set<Promise<void>>();
  let timer: NodeJS.Timeout | undefined;
  let claiming: Promise<void> | undefined;
  let again = false;

  const start = (claim: store.Claim): void => {
    // A failure here is the database's: the lease runs out, and the erasure is claimed again.
    const job = workOn(deps, claim, closing.signal)
      .catch((error: unknown) =>
        log.warn({ err: error, erasureId: claim.id }, "an erasure is left to be claimed again"),
      )
      .finally(() => {
        running.delete(job);
        if (running.size === MAX_RUNNING - 1) wake();
      });
    running.add(job);
  };
  const claim = async (): Promise<void> => {
    const limit = MAX_RUNNING - running.size;
    if (limit === 0) return;
    const claims = await store.claimErasures(db, { now: clock.now(), leaseMs: timings.leaseMs, limit });
    for (const one of claims) start(one);
  };
  const round = async (): Promise<void> => {
    do {
      again = false;
      await claim().catch((error: unknown) => log.warn({ err: error }, "due erasures could not be claimed"));
    } while (again && !closing.signal.aborted);
    claiming = undefined;
    if (!closing.signal.aborted) timer = setTimeout(wake, timings.pollMs);
  };
  function wake(): void {
    if (closing.signal.aborted) return;
    clearTimeout(timer);
    if (claiming === undefined) claiming = round();
    else again = true;
  }
  wake();
  return {
    wake,
    close: async () => {
      closing.abort();
      clearTimeout(timer);
      await claiming;
      await Promise.all(running);
    },
  };
}

type Deps = ErasureDeps & { readonly timings: ErasureTimings };

/** Does what is due about one erasure, and gives signs of life meanwhile. */
async function workOn(deps: Deps, claim: store.Claim, closing: AbortSignal): Promise<void> {
  const { db, log, timings } = deps;
  const { leaseMs } = timings;
  const beat = repeat({ name: "holding an erasure", everyMs: leaseMs / 3, log }, async () => {
    await store.renewLease(db, claim, leaseMs);
  });
  try {
    const letGo = await untilItWaits(deps, claim, closing);
    // Closed first, so that it does not hold again what was let go of.
    await beat.close();
    await letGo();
  } finally {
    await beat.close();
  }
}

/** Does what is due about an erasure. Answers with how to let go of it, when it must wait or is done. */
async function untilItWaits(deps: Deps, claim: store.Claim, closing: AbortSignal): Promise<() => Promise<void>> {
  const { db, clock, holders, timings } = deps;
  // Those that have come since it began take part as well.
  const services = holders.map(({ service }) => service);
  await store.insertServices(db, { id: claim.id, services, now: clock.now() });
  for (;;) {
    if (closing.aborted) return () => store.letGo(db, claim);
    if (!(await store.renewLease(db, claim, timings.leaseMs))) return async () => {};
    const erasure = await store.getErasure(db, claim.id);
    if (erasure === undefined) throw new Error(`The erasure ${claim.id} is gone, though none is ever deleted.`);
    const plan = planErasure(erasure, clock.now());
    switch (plan.kind) {
      case "ask": {
        const asked = erasure.services.filter(({ service }) => plan.services.includes(service));
        await Promise.all(asked.map((one) => ask(deps, { claim, erasure, one, round: plan.round, closing })));
        break;
      }
      case "verify":
        await store.beginVerifying(db, claim, plan.from);
        break;
      case "wait":
        return () => store.postpone(db, claim, plan.until);
      case "finish":
        return () => store.finish(db, claim, clock.now());
    }
  }
}

interface Asking {
  readonly claim: store.Claim;
  readonly erasure: store.Erasure;
  readonly one: store.ErasedService;
  readonly round: number;
  readonly closing: AbortSignal;
}

/** Asks one service to erase, and notes what came of it. */
async function ask(deps: Deps, { claim, erasure, one, round, closing }: Asking): Promise<void> {
  const { db, clock, random, timings, background, holders, log } = deps;
  const { service } = one;
  const holder = holders.find((known) => known.service === service);
  const call = background({ name: "erase-customer", timeoutMs: timings.callMs, signal: closing });
  const attempt = { service, rounds: one.rounds, tries: one.tries + 1 };
  let outcome: Pick<store.Attempt, "error" | "answer">;
  try {
    if (holder === undefined) throw new Error("this process is too old to know it");
    const request = { requestId: erasure.id, customerId: erasure.customerId };
    const { erasures: places } = await holder.client.eraseCustomerData(request, call);
    outcome = { error: leftover(places), answer: { time: clock.now(), places } };
  } catch (error) {
    if (closing.aborted) return;
    log.warn({ err: error, erasureId: claim.id, service }, "a service did not erase; it is asked again");
    // Never the words of an error, which may tell what it was about.
    outcome = { error: error instanceof RpcError ? `${error.code} ${error.reason}` : "INTERNAL", answer: undefined };
  } finally {
    call.done();
  }
  const clean = outcome.error === "";
  const wait = clean ? 0 : waitMs(attempt.tries, random());
  const nextAttemptTime = new Date(clock.now().getTime() + wait);
  await db.transaction(async (tx) => {
    // Somebody else's by now: they have asked as well, or will.
    if (!(await store.lockClaimed(tx, claim))) return;
    const rounds = clean ? round : attempt.rounds;
    await store.writeAttempt(tx, claim.id, { ...attempt, ...outcome, rounds, nextAttemptTime });
  });
}

/** What a service still needs, in words; empty when that is nothing. */
function leftover(places: readonly store.ErasedPlace[]): string {
  return places
    .filter(({ leftCount }) => leftCount > 0n)
    .map(({ place, leftCount }) => `${place}: ${leftCount} still needed`)
    .join(", ");
}
