import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import type { Finding } from "../audit/books.ts";

const maxRounds = 60;
const pauseMs = 2_000;

/** Has payments compare its books with the payment gateway's, until it has seen all; nothing may differ then. */
export async function reconcile(operator: MeshNode): Promise<Finding> {
  const payments = operator.client(PaymentService);
  const invariant = 1;
  const what = "the shop's own reconciler finds no difference to the gateway's records";
  let checked = 0;
  let last = "it never answered";
  for (let round = 0; round < maxRounds; round++) {
    const call = operator.background({ name: "reconcile", timeoutMs: 60_000 });
    const answer = await payments.try.reconcilePayments({ requestId: randomUUID() }, call);
    if (answer.ok) {
      const { complete, underWayCount, openCount, transactionCount, paymentCount, totals } = answer.value;
      checked = Math.max(checked, transactionCount + paymentCount, totals.length);
      if (complete && underWayCount === 0) {
        const violations = openCount === 0 ? [] : [`${openCount} discrepancies are open`];
        return { invariant, what, checked, violations };
      }
      last = `${underWayCount} differences were still under way, complete: ${complete}`;
    } else {
      last = `${answer.error.code} ${answer.error.reason}`;
    }
    await delay(pauseMs);
  }
  return { invariant, what, checked, violations: [last] };
}
