import type { HandleWebhookRequest, HandleWebhookResponse } from "#gen/shop/payments/v1/payment_service.ts";
import { type Deps, fail } from "./deps.ts";
import * as operationStore from "./operation-store.ts";
import { finish } from "./operations.ts";
import { isOpen } from "./payment-gateway.ts";
import * as store from "./store.ts";

/**
 * Takes an event in. It is only a hint: what it is about is brought to the payment gateway's own record first, and only
 * then is the event noted as taken in, so that one that failed half-way is worked off when it is sent again.
 */
export const handleWebhook =
  (deps: Deps) =>
  async ({ provider, signature, body }: HandleWebhookRequest): Promise<HandleWebhookResponse> => {
    const { db, clock, gateway } = deps;
    if (provider !== gateway.name) throw fail("PROVIDER_UNKNOWN", `There is no payment gateway ${provider} here.`);
    const event = gateway.parseWebhook(signature, body, clock.now());
    if (event === undefined)
      throw fail("SIGNATURE_INVALID", "The signature is not the payment gateway's, or is too old.");
    if (await store.hasWebhookEvent(db, provider, event.id)) return { eventId: event.id, first: false };
    if (event.authorizationReference !== undefined) await bringUpToDate(deps, event.authorizationReference);
    const isFirst = await store.insertWebhookEvent(db, { provider, eventId: event.id, now: clock.now() });
    return { eventId: event.id, first: isFirst };
  };

async function bringUpToDate(deps: Deps, authorizationReference: string): Promise<void> {
  const { db, clock, gateway } = deps;
  const payment = await store.findByAuthorization(db, gateway.name, authorizationReference);
  // One that is not known here yet is on its way: the call that asked for it, or the settler, will write it.
  if (payment === undefined) return;
  if (payment.pendingOperationId !== undefined) {
    const operation = await operationStore.getOperation(db, payment.pendingOperationId);
    if (operation !== undefined) await finish(deps, { operation, payment });
    return;
  }
  const found = await gateway.find(authorizationReference);
  if (isOpen(found)) throw fail("OUTCOME_UNKNOWN", "The payment gateway could not be asked; send it again.");
  if (found.kind !== "ok") return;
  const { status } = found.value;
  if (status === "EXPIRED" || status === "VOIDED") {
    await store.lapsePayment(db, { id: payment.id, state: status, now: clock.now() });
  }
}
