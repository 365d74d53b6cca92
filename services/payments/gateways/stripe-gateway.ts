import type Stripe from "stripe";
import type { Clock } from "#mesh/clock.ts";
import type {
  Absent,
  Answer,
  Authorization,
  AuthorizationRecord,
  AuthorizeRequest,
  CaptureRequest,
  Declined,
  Done,
  Effect,
  Open,
  Operation,
  PaymentGateway,
  RefundRequest,
  VoidRequest,
} from "../payment-gateway.ts";
import { toStripeAmount } from "./stripe-amounts.ts";
import { REQUEST_TIMEOUT_MS, type StripeAccess, stripeClient } from "./stripe-client.ts";
import { AMOUNT_NOT_ACCEPTED, type Failure, failureOf, invalidAuthorization } from "./stripe-errors.ts";
import {
  endAuthorization,
  listRefunds,
  lookUp,
  MISSING,
  RECORDED_WITHIN_MS,
  type Records,
  unread,
} from "./stripe-look-up.ts";
import {
  AUTHORIZE_KEY,
  CAPTURE_KEY,
  captureOutcome,
  OUR_REFERENCE,
  REFUND_KEY,
  recordOf,
  refundOutcome,
  voidOutcome,
} from "./stripe-records.ts";
import { listTransactions } from "./stripe-transactions.ts";
import { parseStripeWebhook } from "./stripe-webhooks.ts";

export interface StripeSettings extends StripeAccess {
  /** With which Stripe signs what it sends to us: `whsec_…`. */
  readonly webhookSecret: string;
}

/** Stripe forgets a key after 24 hours, and then takes it for a new one. From here on its records are asked first. */
const KEY_TRUSTED_MS = 23 * 60 * 60 * 1_000;

/**
 * Stripe, by PaymentIntents that are confirmed when they are made and captured later. Every change carries our key twice:
 * as Stripe's idempotency key, and in the metadata of what comes to be, by which it is found again.
 * See docs/decisions/0009-stripe.md.
 */
export function stripeGateway(settings: StripeSettings, clock: Clock): PaymentGateway {
  const records: Records = { stripe: stripeClient(settings), clock };
  return {
    name: "stripe",
    settledAfterMs: REQUEST_TIMEOUT_MS + RECORDED_WITHIN_MS,
    authorize: (request) => authorize(records, request),
    capture: (request) => capture(records, request),
    void: (request) => letGo(records, request),
    refund: (request) => refund(records, request),
    lookUp: (operation) => lookUp(records, operation),
    find: (authorizationReference) => find(records, authorizationReference),
    listTransactions: (after) => listTransactions(records, after),
    parseWebhook: (signature, body, now) => parseStripeWebhook(settings.webhookSecret, signature, body, now),
  };
}

async function authorize(records: Records, request: AuthorizeRequest): Promise<Done<Authorization> | Declined | Open> {
  const { key, firstAskedTime, currencyCode, paymentToken, reference } = request;
  const amount = toStripeAmount(request.amount, currencyCode);
  if (amount === undefined) return { kind: "declined", code: AMOUNT_NOT_ACCEPTED };
  const operation: Operation = { kind: "AUTHORIZE", key, firstAskedTime, lastAskedTime: records.clock.now() };
  const answer = await change(records, operation, {
    send: async ({ paymentIntents }) => {
      const intent = await paymentIntents.create(
        {
          amount,
          currency: currencyCode.toLowerCase(),
          payment_method: paymentToken,
          allowed_payment_method_types: ["card"],
          capture_method: "manual",
          confirm: true,
          // The buyer is not there to confirm with their bank: the payment attempt fails instead of waiting for that.
          error_on_requires_action: true,
          metadata: { [AUTHORIZE_KEY]: key, [OUR_REFERENCE]: reference },
          expand: ["latest_charge"],
        },
        { idempotencyKey: key },
      );
      return endAuthorization(records, intent, key);
    },
    invalid: async (failure) => invalidAuthorization(failure) ?? defect(failure),
  });
  if (answer.kind === "refused")
    throw new Error(`an authorization was refused, which is only ever declined: ${answer.code}`);
  if (answer.kind !== "ok") return answer;
  const { reference: intentId, expireTime } = answer.value;
  if (expireTime === undefined) throw new Error("an authorization was found without its end");
  return { kind: "ok", value: { reference: intentId, expireTime } };
}

async function capture(records: Records, request: CaptureRequest): Promise<Answer<Effect>> {
  const { key, firstAskedTime, authorizationReference, currencyCode } = request;
  const amount = toStripeAmount(request.amount, currencyCode);
  if (amount === undefined) return { kind: "refused", code: AMOUNT_NOT_ACCEPTED, status: undefined };
  const operation: Operation = { kind: "CAPTURE", key, firstAskedTime, authorizationReference };
  return change(records, operation, {
    send: async ({ paymentIntents }) => {
      const intent = await paymentIntents.capture(
        authorizationReference,
        { amount_to_capture: amount, metadata: { [CAPTURE_KEY]: key } },
        { idempotencyKey: key },
      );
      return captureOutcome(intent, key) ?? unexpected(intent);
    },
    invalid: (failure) => refusal(records, operation, failure),
  });
}

async function letGo(records: Records, request: VoidRequest): Promise<Answer<Effect>> {
  const { key, firstAskedTime, authorizationReference } = request;
  const operation: Operation = { kind: "VOID", key, firstAskedTime, authorizationReference };
  return change(records, operation, {
    send: async ({ paymentIntents }) => {
      const intent = await paymentIntents.cancel(authorizationReference, {}, { idempotencyKey: key });
      return voidOutcome(intent) ?? unexpected(intent);
    },
    invalid: (failure) => refusal(records, operation, failure),
  });
}

async function refund(records: Records, request: RefundRequest): Promise<Answer<Effect>> {
  const { key, firstAskedTime, captureReference, currencyCode } = request;
  const amount = toStripeAmount(request.amount, currencyCode);
  if (amount === undefined) return { kind: "refused", code: AMOUNT_NOT_ACCEPTED, status: undefined };
  const operation: Operation = { kind: "REFUND", key, firstAskedTime, captureReference };
  return change(records, operation, {
    send: async ({ refunds }) => {
      const body = { charge: captureReference, amount, metadata: { [REFUND_KEY]: key } };
      return refundOutcome(await refunds.create(body, { idempotencyKey: key }));
    },
    invalid: (failure) => refusal(records, operation, failure),
  });
}

type Found = Answer<Effect & Partial<Authorization>>;
type Invalid = Extract<Failure, { kind: "invalid" }>;

interface Sending<Value> {
  /** Sends the one request, under the operation's key. */
  readonly send: (stripe: Stripe) => Promise<Answer<Value>>;
  /** What it means that Stripe takes the request for invalid. */
  readonly invalid: (failure: Invalid) => Promise<Answer<Value>>;
}

/**
 * One change. Where Stripe's answer leaves open whether it happened, its records are read: it keeps an answer with its key,
 * so that after an error in the midst of work the same key brings but the same error, for a day.
 */
async function change(
  records: Records,
  operation: Operation,
  { send, invalid }: Sending<Effect & Partial<Authorization>>,
): Promise<Found> {
  if (records.clock.now().getTime() - operation.firstAskedTime.getTime() >= KEY_TRUSTED_MS) {
    const found = await lookUp(records, operation);
    if (found.kind !== "absent") return found;
  }
  try {
    return await send(records.stripe);
  } catch (error) {
    const failure = failureOf(error);
    if (failure.kind === "invalid") return invalid(failure);
    if (failure.kind !== "look") return failure;
    const found = await lookUp(records, operation);
    return found.kind === "absent" ? { kind: "unknown", because: failure.because } : found;
  }
}

/** Codes and parameters by which Stripe says that a change does not fit what is there. */
const STATE_CODES = /^(payment_intent_|charge_|resource_missing$|amount_too_|refund_)/;
const AMOUNT_PARAMS: readonly string[] = ["amount", "amount_to_capture"];

/** A change that came too late, or asked for too much. It may have been this very one, whose answer was lost, that came before. */
async function refusal(records: Records, operation: Operation, failure: Invalid): Promise<Answer<Effect>> {
  if (!STATE_CODES.test(failure.code) && !AMOUNT_PARAMS.includes(failure.param)) return defect(failure);
  const found = await lookUp(records, operation);
  if (found.kind !== "absent" && found.kind !== "refused") return found;
  const code = failure.code === "" ? failure.param : failure.code;
  return { kind: "refused", code, status: found.kind === "refused" ? found.status : undefined };
}

/** Throws: Stripe takes our request for a wrong one, which is no outcome. */
function defect({ because }: Invalid): never {
  throw new Error(`Stripe refused our request as wrong: ${because}`);
}

function unexpected({ status }: Stripe.PaymentIntent): Open {
  return { kind: "unknown", because: `the authorization is ${status}` };
}

async function find(
  { stripe }: Records,
  authorizationReference: string,
): Promise<Answer<AuthorizationRecord> | Absent> {
  try {
    const intent = await stripe.paymentIntents.retrieve(authorizationReference);
    const isTaken = intent.status === "succeeded";
    return recordOf(intent, isTaken ? await listRefunds(stripe, { payment_intent: intent.id }) : []);
  } catch (error) {
    const answer = unread(error);
    return answer.kind === "refused" && answer.code === MISSING ? { kind: "absent" } : answer;
  }
}
