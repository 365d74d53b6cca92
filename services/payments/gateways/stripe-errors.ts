import Stripe from "stripe";
import type { Declined, Open } from "../payment-gateway.ts";

/** What an error of Stripe's means for the request that it answers. */
export type Failure =
  | Declined
  | Open
  /** Stripe's record decides: the request may have been carried out, now or under its key before. */
  | { readonly kind: "look"; readonly because: string }
  /** Stripe does not take the request as it is, in the state that things are in. */
  | { readonly kind: "invalid"; readonly code: string; readonly param: string; readonly because: string };

/** The connection was not made, so that nothing can have been sent. */
const NOT_CONNECTED: readonly unknown[] = ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN"];

/**
 * Sorts what a request to Stripe threw. An error of Stripe's holds texts, cards and secrets; none of them is passed on,
 * and it is never the cause of another error. Throws what is not Stripe's, for that is a defect.
 */
export function failureOf(error: unknown): Failure {
  if (!(error instanceof Stripe.errors.StripeError)) throw error;
  const because = describe(error);
  const { statusCode, rawType, code = "" } = error;
  if (error instanceof Stripe.errors.StripeConnectionError) {
    return { kind: NOT_CONNECTED.includes(systemCode(error.detail)) ? "retryable" : "unknown", because };
  }
  // A key of ours that is wrong or not allowed this, too many requests, a lock, a copy that is under way.
  if (statusCode === 401 || statusCode === 403 || statusCode === 409 || statusCode === 429) {
    return { kind: "retryable", because };
  }
  if (code === "rate_limit") return { kind: "retryable", because };
  if (statusCode === 402) return { kind: "declined", code: declineCode(error) };
  if ((statusCode === 400 || statusCode === 404) && rawType === "invalid_request_error") {
    return { kind: "invalid", code, param: error.param ?? "", because };
  }
  // 5xx, what no program of Stripe's wrote, and a key that came before with another body.
  return { kind: "look", because };
}

/** Codes and ids alone: `402 card_error card_declined req_1`. */
function describe({ statusCode, type, rawType, code, param, requestId, detail }: Stripe.errors.StripeError): string {
  return [statusCode, rawType ?? type, code, param, systemCode(detail), requestId].filter(Boolean).join(" ");
}

function systemCode(detail: unknown): unknown {
  const cause = detail instanceof Error ? (detail.cause ?? detail) : undefined;
  return typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined;
}

/**
 * A decline in the contract's words. Why a bank says no is often not for the buyer to hear, as with a stolen card: what
 * they can do something about is told, all else is `card_declined`.
 */
export function declineCode(error: { readonly code?: string | null; readonly decline_code?: string | null }): string {
  return TOLD[error.decline_code ?? ""] ?? TOLD[error.code ?? ""] ?? "card_declined";
}

const TOLD: Readonly<Record<string, string>> = {
  insufficient_funds: "insufficient_funds",
  expired_card: "expired_card",
  authentication_required: "authentication_required",
  // The bank asked, and error_on_requires_action made the attempt fail.
  authentication_not_handled: "authentication_required",
  payment_intent_authentication_failure: "authentication_required",
};

const AMOUNT_CODES: readonly string[] = ["amount_too_large", "amount_too_small", "invalid_currency"];

/** How an authorization ends that Stripe takes for invalid; undefined when that is a defect of ours. */
export function invalidAuthorization({
  code,
  param,
}: {
  readonly code: string;
  readonly param: string;
}): Declined | undefined {
  if (AMOUNT_CODES.includes(code) || param === "amount" || param === "currency") {
    return { kind: "declined", code: AMOUNT_NOT_ACCEPTED };
  }
  // A token that is unknown, used up, somebody else's, or no token at all.
  if (param === "payment_method" || code.startsWith("payment_method_"))
    return { kind: "declined", code: "invalid_token" };
  return undefined;
}

/** The decline code of an amount or a currency that Stripe does not take. */
export const AMOUNT_NOT_ACCEPTED = "amount_not_accepted";
