import type Stripe from "stripe";
import type {
  Answer,
  Authorization,
  AuthorizationRecord,
  AuthorizationStatus,
  Declined,
  Done,
  Effect,
  Open,
  Refused,
} from "../payment-gateway.ts";
import { fromStripeAmount } from "./stripe-amounts.ts";
import { declineCode } from "./stripe-errors.ts";

/** Under which names our keys stand in the metadata of a PaymentIntent and of a refund. */
export const AUTHORIZE_KEY = "shopmesh_authorize";
export const CAPTURE_KEY = "shopmesh_capture";
export const REFUND_KEY = "shopmesh_refund";
/** And under which our name for an authorization stands: the order. */
export const OUR_REFERENCE = "shopmesh_reference";

/** Where Stripe does not say how long a card's hold lasts: what it promises for most. */
const USUAL_HOLD_MS = 7 * 24 * 60 * 60 * 1_000;

/** What an authorization came to; `unfinished` where it waits for something that nobody will do. */
export function authorizationOutcome(
  intent: Stripe.PaymentIntent,
): Done<Authorization> | Declined | Open | { readonly kind: "unfinished"; readonly code: string } {
  switch (intent.status) {
    case "requires_capture":
    case "succeeded":
      return { kind: "ok", value: authorizationOf(intent) };
    case "canceled":
      // One that was authorized first has a charge that went through.
      if (chargeOf(intent)?.status === "succeeded") return { kind: "ok", value: authorizationOf(intent) };
      return {
        kind: "declined",
        code: intent.last_payment_error === null ? NOT_COMPLETED : declineCode(intent.last_payment_error),
      };
    case "requires_payment_method":
      return intent.last_payment_error === null
        ? { kind: "unfinished", code: NOT_COMPLETED }
        : { kind: "declined", code: declineCode(intent.last_payment_error) };
    case "requires_action":
      return { kind: "unfinished", code: "authentication_required" };
    case "requires_confirmation":
      return { kind: "unfinished", code: NOT_COMPLETED };
    default:
      return { kind: "unknown", because: `the authorization is ${intent.status}` };
  }
}

/** The decline code of an authorization that began and was never brought to an end. */
const NOT_COMPLETED = "not_completed";

function authorizationOf(intent: Stripe.PaymentIntent): Authorization {
  const captureBefore = chargeOf(intent)?.payment_method_details?.card?.capture_before;
  const expireMs = captureBefore === undefined ? intent.created * 1_000 + USUAL_HOLD_MS : captureBefore * 1_000;
  return { reference: intent.id, expireTime: new Date(expireMs) };
}

/** What a capture under a key came to; undefined where it did not happen and still can. */
export function captureOutcome(intent: Stripe.PaymentIntent, key: string): Done<Effect> | Refused | undefined {
  if (intent.status === "requires_capture") return undefined;
  const reference = chargeId(intent);
  if (intent.status === "succeeded" && intent.metadata[CAPTURE_KEY] === key && reference !== undefined) {
    return { kind: "ok", value: { reference } };
  }
  return wrongState(intent);
}

/**
 * What a void came to; undefined where it did not happen and still can. Stripe keeps no metadata with a cancellation, so
 * that whoever let the money go counts, unless it was time.
 */
export function voidOutcome(intent: Stripe.PaymentIntent): Done<Effect> | Refused | undefined {
  if (intent.status === "requires_capture") return undefined;
  return statusOf(intent) === "VOIDED" ? { kind: "ok", value: { reference: intent.id } } : wrongState(intent);
}

function wrongState(intent: Stripe.PaymentIntent): Refused {
  return { kind: "refused", code: `payment_intent_${intent.status}`, status: statusOf(intent) };
}

/** Money on its way back counts as given back; one that came to nothing is refused. */
export function refundOutcome({ id, status }: Pick<Stripe.Refund, "id" | "status">): Done<Effect> | Refused {
  const isBack = status === "succeeded" || status === "pending" || status === "requires_action";
  if (isBack) return { kind: "ok", value: { reference: id } };
  return { kind: "refused", code: `refund_${status ?? "without_status"}`, status: "CAPTURED" };
}

/** An authorization by Stripe's books. */
export function recordOf(intent: Stripe.PaymentIntent, refunds: readonly Stripe.Refund[]): Answer<AuthorizationRecord> {
  const status = statusOf(intent);
  if (status === undefined) return { kind: "unknown", because: `the authorization is ${intent.status}` };
  const currencyCode = intent.currency.toUpperCase();
  const back = refunds.filter(isMoneyBack).reduce((sum, { amount }) => sum + amount, 0);
  const record: AuthorizationRecord = {
    status,
    currencyCode,
    amount: fromStripeAmount(intent.amount, currencyCode),
    captured: fromStripeAmount(intent.amount_received, currencyCode),
    refunded: fromStripeAmount(back, currencyCode),
    captureReference: status === "CAPTURED" ? chargeId(intent) : undefined,
    ourReference: intent.metadata[OUR_REFERENCE] ?? "",
  };
  return { kind: "ok", value: record };
}

/**
 * What Stripe lists as refunds are also the rest that a capture in part let go, and a hold that was cancelled. They are
 * not ours, and moved no money.
 */
export function isMoneyBack(
  refund: Pick<Stripe.Refund, "metadata" | "balance_transaction" | "status" | "id">,
): boolean {
  const isOurs = refund.metadata?.[REFUND_KEY] !== undefined;
  return refundOutcome(refund).kind === "ok" && (isOurs || refund.balance_transaction !== null);
}

function statusOf({ status, cancellation_reason: reason }: Stripe.PaymentIntent): AuthorizationStatus | undefined {
  switch (status) {
    case "requires_capture":
      return "AUTHORIZED";
    case "succeeded":
      return "CAPTURED";
    case "canceled":
      return isExpiry(reason) ? "EXPIRED" : "VOIDED";
    default:
      return undefined;
  }
}

/** The id of the last charge that an intent made, which is what a capture is called by. */
function chargeId({ latest_charge: charge }: Stripe.PaymentIntent): string | undefined {
  return typeof charge === "object" ? charge?.id : charge;
}

/** That charge itself, where Stripe was asked to send it along. */
function chargeOf({ latest_charge: charge }: Stripe.PaymentIntent): Stripe.Charge | undefined {
  return typeof charge === "object" && charge !== null ? charge : undefined;
}

/** Whether it was Stripe itself that cancelled, because the time to capture was over. */
export function isExpiry(reason: Stripe.PaymentIntent["cancellation_reason"]): boolean {
  return reason === "automatic" || reason === "expired";
}
