import Stripe from "stripe";
import type { WebhookEvent } from "../payment-gateway.ts";

/** A signature that is older is refused, so that an overheard event cannot be sent again later. */
const MAX_SIGNATURE_AGE_S = 300;

/** The event in a webhook of Stripe's; undefined when the signature is another's, or too old. */
export function parseStripeWebhook(
  secret: string,
  signature: string,
  body: Uint8Array,
  now: Date,
): WebhookEvent | undefined {
  const { webhooks, errors } = Stripe;
  if (webhooks.signature === null) throw new Error("the stripe package came without its signatures");
  try {
    webhooks.signature.verifyHeader(body, signature, secret, MAX_SIGNATURE_AGE_S, undefined, now.getTime());
  } catch (error) {
    if (error instanceof errors.StripeSignatureVerificationError) return undefined;
    throw error;
  }
  // Read here and not by the package, which throws at kinds of events that we take in and leave be.
  const event: unknown = JSON.parse(Buffer.from(body).toString("utf8"));
  const id = field(event, "id");
  if (typeof id !== "string") throw new Error("Stripe sent an event without an id");
  return { id, authorizationReference: intentOf(field(field(event, "data"), "object")) };
}

/** The PaymentIntent that an event is about: the object itself, or the one that a charge, refund or dispute belongs to. */
function intentOf(object: unknown): string | undefined {
  const isIntent = field(object, "object") === "payment_intent";
  const reference = field(object, isIntent ? "id" : "payment_intent");
  return typeof reference === "string" && reference !== "" ? reference : undefined;
}

function field(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.entries(value).find(([key]) => key === name)?.[1];
}
