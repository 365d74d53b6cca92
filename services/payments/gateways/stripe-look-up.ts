import type Stripe from "stripe";
import type { Clock } from "#mesh/clock.ts";
import type {
  Absent,
  Answer,
  Authorization,
  Declined,
  Done,
  Effect,
  Open,
  Operation,
  Refused,
} from "../payment-gateway.ts";
import { failureOf } from "./stripe-errors.ts";
import {
  AUTHORIZE_KEY,
  authorizationOutcome,
  captureOutcome,
  REFUND_KEY,
  refundOutcome,
  voidOutcome,
} from "./stripe-records.ts";

/** How far Stripe's clock and ours may be apart. */
const CLOCK_SKEW_MS = 60_000;
/** How long after it was last asked for an authorization is looked for. By far longer than a request can be under way. */
const LATEST_MS = 180_000;
/** After so long Stripe has done whatever it was going to do with a request that it has taken in. */
export const RECORDED_WITHIN_MS = 60_000;
const PAGE = 100;
/** More authorizations than Stripe lets an account make in the time that is looked at. */
const MAX_AUTHORIZATION_PAGES = 100;
/** Refunds of one charge. */
const MAX_REFUND_PAGES = 10;

export interface Records {
  readonly stripe: Stripe;
  readonly clock: Clock;
}

type AuthorizationOperation = Extract<Operation, { kind: "AUTHORIZE" }>;

/**
 * What an operation came to, by Stripe's records. Stripe cannot be asked for a key: it stands in the metadata of what came
 * to be. Lists are read, not the search, which is some time behind.
 */
export async function lookUp(
  records: Records,
  operation: Operation,
): Promise<Answer<Effect & Partial<Authorization>> | Absent> {
  const { stripe } = records;
  try {
    switch (operation.kind) {
      case "AUTHORIZE":
        return await lookUpAuthorization(records, operation);
      case "CAPTURE": {
        const intent = await stripe.paymentIntents.retrieve(operation.authorizationReference);
        return captureOutcome(intent, operation.key) ?? { kind: "absent" };
      }
      case "VOID": {
        const intent = await stripe.paymentIntents.retrieve(operation.authorizationReference);
        return voidOutcome(intent) ?? { kind: "absent" };
      }
      case "REFUND": {
        const refunds = await listRefunds(stripe, { charge: operation.captureReference });
        const found = refunds.find(({ metadata }) => metadata?.[REFUND_KEY] === operation.key);
        return found === undefined ? { kind: "absent" } : refundOutcome(found);
      }
    }
  } catch (error) {
    return unread(error);
  }
}

async function lookUpAuthorization(
  records: Records,
  operation: AuthorizationOperation,
): Promise<Done<Authorization> | Declined | Open | Absent> {
  const intent = await findIntent(records.stripe, operation);
  return intent === undefined ? { kind: "absent" } : endAuthorization(records, intent, operation.key);
}

/**
 * What an authorization came to. One that waits for the buyer, or stopped half-way, is cancelled, so that it never comes
 * about any more: a second step (3-D Secure) is not offered. One that may still be under way is left alone.
 */
export async function endAuthorization(
  { stripe, clock }: Records,
  intent: Stripe.PaymentIntent,
  key: string,
): Promise<Done<Authorization> | Declined | Open> {
  const outcome = authorizationOutcome(intent);
  if (outcome.kind !== "unfinished") return outcome;
  const ageMs = clock.now().getTime() - intent.created * 1_000;
  if (intent.status !== "requires_action" && ageMs < RECORDED_WITHIN_MS) {
    return { kind: "unknown", because: `the authorization is ${intent.status}` };
  }
  await stripe.paymentIntents.cancel(intent.id, {}, { idempotencyKey: `${key}:cancel` });
  return { kind: "declined", code: outcome.code };
}

/** The PaymentIntent that a key made, newest first among those of its time. Throws when there are too many to tell. */
async function findIntent(
  stripe: Stripe,
  { key, firstAskedTime, lastAskedTime }: AuthorizationOperation,
): Promise<Stripe.PaymentIntent | undefined> {
  const created = {
    gte: Math.floor((firstAskedTime.getTime() - CLOCK_SKEW_MS) / 1_000),
    lte: Math.ceil((lastAskedTime.getTime() + LATEST_MS) / 1_000),
  };
  return findInPages(
    (startingAfter) =>
      stripe.paymentIntents.list({
        created,
        limit: PAGE,
        expand: ["data.latest_charge"],
        ...(startingAfter !== undefined && { starting_after: startingAfter }),
      }),
    ({ metadata }) => metadata[AUTHORIZE_KEY] === key,
    MAX_AUTHORIZATION_PAGES,
  );
}

/** All refunds of a charge or of a PaymentIntent. Throws when there are too many. */
export async function listRefunds(
  stripe: Stripe,
  of: { readonly charge: string } | { readonly payment_intent: string },
): Promise<readonly Stripe.Refund[]> {
  const refunds: Stripe.Refund[] = [];
  await findInPages(
    (startingAfter) =>
      stripe.refunds.list({
        ...of,
        limit: PAGE,
        ...(startingAfter !== undefined && { starting_after: startingAfter }),
      }),
    (refund) => {
      refunds.push(refund);
      return false;
    },
    MAX_REFUND_PAGES,
  );
  return refunds;
}

/** The records are longer than we read them, so that what is not found may still be there. */
class TooManyRecords extends Error {
  override readonly name = "TooManyRecords";
}

async function findInPages<Item extends { readonly id: string }>(
  readPage: (
    startingAfter: string | undefined,
  ) => Promise<{ readonly data: readonly Item[]; readonly has_more: boolean }>,
  isWanted: (item: Item) => boolean,
  maxPages: number,
): Promise<Item | undefined> {
  let startingAfter: string | undefined;
  for (let pages = 0; pages < maxPages; pages += 1) {
    const page = await readPage(startingAfter);
    const found = page.data.find(isWanted);
    if (found !== undefined) return found;
    startingAfter = page.data.at(-1)?.id;
    if (!page.has_more || startingAfter === undefined) return undefined;
  }
  throw new TooManyRecords(`more than ${maxPages} pages of records`);
}

/** A record that could not be read. What it would have said stays open, unless there is none. */
export function unread(error: unknown): Open | Refused {
  if (error instanceof TooManyRecords) return { kind: "unknown", because: error.message };
  const failure = failureOf(error);
  if (failure.kind === "retryable" || failure.kind === "unknown") return failure;
  if (failure.kind === "invalid" && failure.code === MISSING)
    return { kind: "refused", code: MISSING, status: undefined };
  return { kind: "unknown", because: failure.kind === "declined" ? failure.code : failure.because };
}

/** What Stripe says of an id that is none of this account's. */
export const MISSING = "resource_missing";
