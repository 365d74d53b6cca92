import type { HandleWebhookRequest, HandleWebhookResponse } from "#gen/shop/payments/v1/payment_service.ts";
import { align } from "./align.ts";
import { type Deps, fail } from "./deps.ts";
import { isOpen } from "./payment-gateway.ts";
import * as store from "./store.ts";
import * as webhookStore from "./webhook-store.ts";

/** How many payments of one order are looked at for an authorization that no payment is known to have. */
const MAX_CANDIDATES = 20;

/**
 * Takes an event in. It is only a hint: what it is about is brought to the payment gateway's own record first, and only
 * then is the event noted as taken in, so that one that failed half-way is worked off when it is sent again.
 */
export const handleWebhook =
  (deps: Deps) =>
  async ({ provider, signature, body }: HandleWebhookRequest): Promise<HandleWebhookResponse> => {
    const { db, clock, gateway, log } = deps;
    if (provider !== gateway.name) throw fail("PROVIDER_UNKNOWN", `There is no payment gateway ${provider} here.`);
    const event = gateway.parseWebhook(signature, body, clock.now());
    if (event === undefined)
      throw fail("SIGNATURE_INVALID", "The signature is not the payment gateway's, or is too old.");
    if (event === "unreadable") {
      // It would be no better the next time, so its sender is not to send it again.
      log.warn({ provider, bytes: body.length }, "a signed webhook is no event of the payment gateway's; left alone");
      return { eventId: "", first: false };
    }
    if (await webhookStore.hasWebhookEvent(db, provider, event.id)) return { eventId: event.id, first: false };
    if (event.authorizationReference !== undefined) await bringUpToDate(deps, event.authorizationReference);
    const isFirst = await webhookStore.insertWebhookEvent(db, { provider, eventId: event.id, now: clock.now() });
    return { eventId: event.id, first: isFirst };
  };

async function bringUpToDate(deps: Deps, authorizationReference: string): Promise<void> {
  const { db, gateway } = deps;
  const payment = await store.findByAuthorization(db, gateway.name, authorizationReference);
  if (payment !== undefined) {
    await align(deps, payment);
    return;
  }
  // The event came before the answer that would have told us the authorization's name, or that answer was lost. What is
  // none of our payments' is the reconciler's to report.
  const found = await gateway.find(authorizationReference);
  if (isOpen(found)) throw fail("OUTCOME_UNKNOWN", "The payment gateway could not be asked; send it again.");
  if (found.kind !== "ok" || found.value.ourReference === "") return;
  const wanted = { provider: gateway.name, orderId: found.value.ourReference, limit: MAX_CANDIDATES };
  for (const candidate of await store.listUnreferenced(db, wanted)) await align(deps, candidate);
}
