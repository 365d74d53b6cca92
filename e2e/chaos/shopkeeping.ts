import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { OrderServiceService } from "#gen/shop/orders/v1/order_service.ts";
import type { Money } from "#gen/shop/type/v1/money.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import type { Staff } from "../support/staff.ts";
import { addStock } from "../support/stock.ts";
import { tryHard } from "./try-hard.ts";

/** What buyers leave to the shop's people: goods that come back, and money that they want back. */
export type Errand =
  | { readonly kind: "receive"; readonly returnId: string }
  | { readonly kind: "refund"; readonly orderId: string; readonly amount: Money | undefined };

/** What the shop's own people do while buyers shop. */
export interface Shopkeeping {
  readonly operator: MeshNode;
  readonly staff: Staff;
  readonly skus: readonly string[];
  /** Units of each SKU that come in each time. */
  readonly units: bigint;
  /** How much of the shopping is done, from 0 to 1. */
  readonly progress: () => number;
  readonly count: (what: string) => void;
  /** Takes the next thing to do. */
  readonly nextErrand: () => Errand | undefined;
  readonly closing: AbortSignal;
}

const deliveries = 10;
const turnMs = 500;
const signInAfterMs = 8 * 60_000;

/** Fills the shelves up as they empty, and receives what comes back, until it is closed. */
export async function keepShop(keeping: Shopkeeping): Promise<void> {
  const { progress, closing, staff } = keeping;
  let signedInMs = performance.now();
  for (let delivered = 0; !closing.aborted; ) {
    await delay(turnMs, undefined, { signal: closing }).catch(() => {});
    if (performance.now() - signedInMs > signInAfterMs) {
      await tryHard(keeping, () => staff.signIn());
      signedInMs = performance.now();
    }
    if (progress() * deliveries > delivered + 1) {
      delivered += 1;
      await deliver(keeping);
    }
    await runErrands(keeping);
  }
}

async function deliver({ operator, skus, units, count }: Shopkeeping): Promise<void> {
  for (const sku of skus) {
    // One that fails is left out: there are others, and what counts is in the books.
    await addStock(operator, { sku, units }).catch(() => count("a delivery failed"));
  }
}

/** Does all that was left to be done. */
export async function runErrands(keeping: Shopkeeping): Promise<void> {
  const { staff, count, nextErrand } = keeping;
  for (let errand = nextErrand(); errand !== undefined; errand = nextErrand()) {
    const requestId = randomUUID();
    if (errand.kind === "receive") {
      const request = { requestId, returnId: errand.returnId };
      const done = await tryHard(keeping, () => staff.call(OrderServiceService.receiveReturn, request));
      count(done === undefined ? "receiving refused" : "return received");
    } else {
      const request = { requestId, orderId: errand.orderId, amount: errand.amount, note: "sorry" };
      const done = await tryHard(keeping, () => staff.call(OrderServiceService.refundOrder, request));
      count(done === undefined ? "refund refused" : "refunded");
    }
  }
}
