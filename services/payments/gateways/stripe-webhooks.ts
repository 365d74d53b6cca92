import Stripe from "stripe";
import type { WebhookEvent } from "../payment-gateway.ts";
import { isEventId, readBody } from "./webhook-body.ts";

/** A signature that is older is refused, so that an overheard event cannot be sent again later. */
const MAX_SIGNATURE_AGE_S = 300;

/** The event in a webhook of Stripe's; undefined when the signature is another's, or too old. */
export function parseStripeWebhook(
  secret: string,
  signature: string,
  body: Uint8Array,
  now: Date,
): WebhookEvent | "unreadable" | undefined {
  const { webhooks, errors } = Stripe;
  if (webhooks.signature === null) throw new Error("the stripe package came without its signatures");
  try {
    webhooks.signature.verifyHeader(body, signature, secret, MAX_SIGNATURE_AGE_S, undefined, now.getTime());
  } catch (error) {
    if (error instanceof errors.StripeSignatureVerificationError) return undefined;
    throw error;
  }
  // Read here and not by the package, which throws at kinds of events that we take in and leave be.
  const event = readBody(body);
  const [id, about] = [field(event, "id"), intentOf(field(field(event, "data"), "object"))];
  if (!isEventId(id)) return "unreadable";
  if (about === undefined) return { id, authorizationReference: undefined };
  if (typeof about !== "string" || !INTENT_ID.test(about)) return "unreadable";
  return { id, authorizationReference: about };
}

const INTENT_ID = /^pi_\w{1,250}$/;

/** The PaymentIntent that an event is about: the object itself, or the one that a charge, refund or dispute belongs to. */
function intentOf(object: unknown): unknown {
  if (field(object, "object") === "payment_intent") return field(object, "id") ?? "";
  return field(object, "payment_intent") ?? undefined;
}

function field(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.entries(value).find(([key]) => key === name)?.[1];
}
