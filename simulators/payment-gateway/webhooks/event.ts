import { createHmac } from "node:crypto";
import { transactionView } from "../answers.ts";
import type { PaymentEvent } from "../domain.ts";

/** The header in which the signature travels. */
export const SIGNATURE_HEADER = "simulator-signature";

/** The id of an event: always the same one, however often it is sent. */
export function eventIdOf({ type, id }: PaymentEvent): string {
  return `evt_${type}_${id}`;
}

/** An event as it is sent: one line of JSON. The receiver takes it for a hint, and asks for the rest. */
export function eventBody(event: PaymentEvent): string {
  return JSON.stringify({
    id: eventIdOf(event),
    type: event.type,
    authorization_id: event.authorizationId,
    reference: event.reference,
    create_time: event.time.toISOString(),
    transaction: event.type === "expired" ? undefined : transactionView(event),
  });
}

/** `t=<seconds>,v1=<hex of HMAC-SHA256 over "<seconds>.<body>">`; made anew for each attempt, as it grows old. */
export function sign(secret: string, body: string, now: Date): string {
  const seconds = Math.floor(now.getTime() / 1_000);
  return `t=${seconds},v1=${createHmac("sha256", secret).update(`${seconds}.${body}`).digest("hex")}`;
}
