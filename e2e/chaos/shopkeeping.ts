import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { OrderServiceService } from "#gen/shop/orders/v1/order_service.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import type { Staff } from "../support/staff.ts";
import { addStock } from "../support/stock.ts";
import { tryHard } from "./shopping.ts";

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
  /** Takes the next return that was announced. */
  readonly nextReturn: () => string | undefined;
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
    await receive(keeping);
  }
}

async function deliver({ operator, skus, units, count }: Shopkeeping): Promise<void> {
  for (const sku of skus) {
    // One that fails is left out: there are others, and what counts is in the books.
    await addStock(operator, { sku, units }).catch(() => count("a delivery failed"));
  }
}

/** Receives all returns that were announced. */
export async function receive(keeping: Shopkeeping): Promise<void> {
  const { staff, count, nextReturn } = keeping;
  for (let returnId = nextReturn(); returnId !== undefined; returnId = nextReturn()) {
    const request = { requestId: randomUUID(), returnId };
    const done = await tryHard(keeping, () => staff.call(OrderServiceService.receiveReturn, request));
    count(done === undefined ? "receiving refused" : "return received");
  }
}
