import type { Logger } from "pino";
import type { Database } from "#mesh/postgres/index.ts";
import { type Background, type Repeating, repeat } from "#mesh/repeat.ts";
import { type Failure, judge, nextBackoff, spread } from "./domain.ts";
import { writeMail } from "./letters.ts";
import { MAX_CONNECTIONS, type MailServer } from "./mail-server.ts";
import { createPause } from "./pause.ts";
import * as store from "./store-sending.ts";

export interface SenderTimings {
  /** How often to look for mails that are due, when nothing else gives cause to. */
  readonly claimIntervalMs: number;
  /** How long a claim lasts unless it is extended: when a process is gone, its mails are sent after this. */
  readonly leaseMs: number;
  /** How often claims are extended that are still worked on. */
  readonly extendMs: number;
  /** How long one try may take, whatever the server does. */
  readonly tryMs: number;
  /** How long a closing process waits for what is under way. */
  readonly closeMs: number;
  /** How long nothing is tried when no mail gets through: at first, and at the most. */
  readonly pause: { readonly firstMs: number; readonly maxMs: number };
}

export const defaultTimings: SenderTimings = {
  claimIntervalMs: 1_000,
  leaseMs: 30_000,
  extendMs: 10_000,
  tryMs: 5 * 60_000,
  closeMs: 2_000,
  pause: { firstMs: 1_000, maxMs: 30_000 },
};

export interface SenderDeps {
  readonly db: Database;
  readonly server: MailServer;
  /** The shop's name, as its mails give it. */
  readonly shop: string;
  /** From 0 up to and without 1. */
  readonly random: () => number;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
  readonly timings?: SenderTimings;
}

/** A mail that is being sent. */
interface Sending {
  readonly mail: store.ClaimedMail;
  readonly stop: AbortController;
}

/**
 * Sends the mails that wait, those written here and those that any process left, at most `MAX_CONNECTIONS` at a time, until
 * it is closed. To `wake` it is to say that a mail is due.
 */
export function startSender(deps: SenderDeps): Repeating {
  const { db, log, server, timings = defaultTimings } = deps;
  const sendings = new Map<Sending, Promise<void>>();
  const pause = createPause(timings.pause, () => claims.wake());

  const begin = (mail: store.ClaimedMail): void => {
    const sending = { mail, stop: new AbortController() };
    // A failure here is the database's: the claim runs out, and the mail is sent again under the same Message-ID.
    const work = sendOne(deps, sending, { timings, pause })
      .catch((error: unknown) => log.error({ err: error, notification: mail.id }, "a mail is left to be claimed again"))
      .finally(() => {
        sendings.delete(sending);
        claims.wake();
      });
    sendings.set(sending, work);
  };
  const claims = repeat({ name: "claiming due mails", everyMs: timings.claimIntervalMs, log }, async () => {
    const limit = pause.room(MAX_CONNECTIONS) - sendings.size;
    if (limit <= 0) return;
    for (const mail of await store.claimDue(db, { limit, leaseMs: timings.leaseMs })) begin(mail);
  });
  const extending = extendClaims(deps, timings, sendings);
  claims.wake();
  return {
    wake: claims.wake,
    close: async () => {
      await claims.close();
      pause.close();
      const late = setTimeout(() => stopAll(sendings), timings.closeMs);
      await Promise.all(sendings.values());
      clearTimeout(late);
      await extending.close();
      server.close();
    },
  };
}

function stopAll(sendings: ReadonlyMap<Sending, unknown>): void {
  for (const { stop } of sendings.keys()) stop.abort();
}

/** Keeps the claims of mails that take long, and stops those that were erased meanwhile. */
function extendClaims(
  { db, log }: SenderDeps,
  { extendMs, leaseMs }: SenderTimings,
  sendings: ReadonlyMap<Sending, unknown>,
): Background {
  return repeat({ name: "keeping the mails that are being sent", everyMs: extendMs, log }, async () => {
    const held = [...sendings.keys()];
    if (held.length === 0) return;
    const kept = await store.extendLeases(
      db,
      held.map(({ mail }) => mail),
      leaseMs,
    );
    const erased = new Set(kept.filter((one) => one.erased).map(({ id }) => id));
    for (const { mail, stop } of held) if (erased.has(mail.id)) stop.abort();
  });
}

interface Running {
  readonly timings: SenderTimings;
  readonly pause: ReturnType<typeof createPause>;
}

/** Why a try is stopped whose time is over. */
const TOO_LONG = "too long";

/** Tries a mail once, and writes down what came of it. */
async function sendOne(deps: SenderDeps, { mail, stop }: Sending, { timings, pause }: Running): Promise<void> {
  const { db, log, random } = deps;
  const startMs = performance.now();
  const timer = setTimeout(() => stop.abort(TOO_LONG), timings.tryMs);
  const failure = await trySending(deps, mail, stop.signal).finally(() => clearTimeout(timer));
  const ms = Math.round(performance.now() - startMs);
  const line = { notification: mail.id, kind: mail.kind, attempt: mail.attempts, ms };
  if (failure === undefined) {
    pause.end();
    await store.markSent(db, mail);
    log.info(line, "mail sent");
    return;
  }
  // Nobody knows whether it was sent: whoever takes it up sends it again, under the same Message-ID.
  if (stop.signal.aborted && stop.signal.reason !== TOO_LONG) return store.letGo(db, mail);
  if (failure.fault === "no_server") pause.begin();
  else pause.end();
  const backoffMs = nextBackoff(mail.backoffMs);
  const refused = failure.fault === "refused";
  const waitMs = spread(backoffMs, random());
  const givenUp = await store.markTried(db, mail, { refused, error: failure.error, backoffMs, waitMs });
  log.warn({ ...line, error: failure.error, givenUp }, givenUp ? "mail given up" : "mail not sent; trying again later");
}

/** What went wrong; undefined when the server took it. A mail that cannot be written is a bug, and keeps no other. */
async function trySending(
  { server, shop, log }: SenderDeps,
  mail: store.ClaimedMail,
  signal: AbortSignal,
): Promise<Failure | undefined> {
  const { orderId, createTime: time, messageId, email } = mail;
  try {
    const words = writeMail(mail.kind, mail.letter, { orderId, shop, time });
    const error = await server.send({ ...words, messageId, email, time, orderId }, signal);
    return error === undefined ? undefined : judge(error);
  } catch (error) {
    log.error({ err: error, notification: mail.id }, "a mail could not be written");
    return { fault: "deferred", error: "internal error" };
  }
}
