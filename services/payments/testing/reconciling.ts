import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import type { ReconcilePaymentsResponse } from "#gen/shop/payments/v1/payment_service.ts";
import { type Discrepancy, Discrepancy_State } from "#gen/shop/payments/v1/reconciliation.ts";
import { newId } from "#mesh/ids.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { GRACE_MS } from "../reconciler.ts";
import type { PaymentsShop } from "./payments.ts";

/** What an operator does to compare the books. */
export function operatorOf(shop: () => Pick<PaymentsShop, "mesh" | "clock">) {
  const node = () => shop().mesh.mesh("operator");
  const client = () => node().client(PaymentService);
  const call = (timeoutMs = 30_000): Call => node().background({ name: "test", timeoutMs });
  const runNow = (): Promise<ReconcilePaymentsResponse> =>
    client().reconcilePayments({ requestId: newId("req") }, call());
  return {
    runNow,
    tryNow: (timeoutMs?: number) => client().try.reconcilePayments({ requestId: newId("req") }, call(timeoutMs)),
    /** Compares twice: once to see what there is, and once to look closely, when all has had time to come to rest. */
    compare: async (): Promise<ReconcilePaymentsResponse> => {
      await runNow();
      shop().clock.advance(GRACE_MS + 1);
      return runNow();
    },
    /** The discrepancies of a payment or an authorization, the newest first. */
    discrepanciesOf: async (subject: string): Promise<readonly Discrepancy[]> => {
      const found: Discrepancy[] = [];
      for (let pageToken = ""; ; ) {
        const state = Discrepancy_State.UNSPECIFIED;
        const page = await client().listDiscrepancies({ state, pageSize: 2, pageToken }, call());
        found.push(
          ...page.discrepancies.filter((one) => one.paymentId === subject || one.providerReference === subject),
        );
        if (page.nextPageToken === "") return found;
        pageToken = page.nextPageToken;
      }
    },
  };
}

/** Changes at the payment gateway behind our back. */
export function behindOurBack(shop: () => PaymentsShop) {
  const asked = (key = newId("key")) => ({ key, firstAskedTime: shop().clock.now() });
  const gateway = () => shop().deps.gateway;
  return {
    authorize: async (orderId: string, key?: string): Promise<string> => {
      const money = { amount: 5_000n, currencyCode: "EUR", paymentToken: "tok_visa" };
      const answer = await gateway().authorize({ ...asked(key), ...money, reference: orderId });
      if (answer.kind !== "ok") throw new Error(answer.kind);
      return answer.value.reference;
    },
    capture: (authorizationReference: string, amount = 5_000n) =>
      gateway().capture({ ...asked(), authorizationReference, amount, currencyCode: "EUR" }),
    letGo: (authorizationReference: string) => gateway().void({ ...asked(), authorizationReference }),
    refund: async (authorizationReference: string, amount: bigint): Promise<void> => {
      const found = await gateway().find(authorizationReference);
      if (found.kind !== "ok" || found.value.captureReference === undefined) throw new Error(found.kind);
      const { captureReference } = found.value;
      await gateway().refund({ ...asked(), captureReference, amount, currencyCode: "EUR" });
    },
  };
}
