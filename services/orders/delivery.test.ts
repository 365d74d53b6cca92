import { describe, expect, it, vi } from "vitest";
import { meshFailure } from "#mesh/contract/errors.ts";
import { paidOrder, returnIdOf } from "./testing/paid-order.ts";
import { shopForEachTest } from "./testing/setup.ts";
import { gate, isAtRest } from "./testing/shop.ts";

const suite = shopForEachTest();

/** The id of the shipment of an order, or of a return. */
const shipmentOf = (id: string): string => suite.shop.shipping.shipmentOf(id)?.id ?? "";

/** Waits for what no order tells of. */
const soon = (check: () => void) => vi.waitFor(check, { timeout: 15_000 });

const mailsOf = (id: string) => suite.shop.notifications.mailsOf(id);
const callsOf = (method: string) => suite.shop.interference.calls.filter((call) => call === method).length;

/** Has the calls of a method fail, as when the service is away, until what it returns is called. */
function away(service: string): () => void {
  let down = true;
  suite.shop.interference.before = (method) => {
    if (down && method.startsWith(service)) throw meshFailure("SERVICE_UNAVAILABLE", "away");
  };
  return () => {
    down = false;
  };
}

describe("the goods of an order", () => {
  it("are booked with what they weigh and the rate that was chosen, and their buyer is written to", async () => {
    const { id, order } = await paidOrder(suite.shop, { "SKU-1": 2n });
    expect(order).toMatchObject({ state: "PAID", shipmentId: shipmentOf(id) });
    expect([...suite.shop.shipping.booked.values()]).toMatchObject([
      { orderId: id, returnId: "", rateId: "rate_standard", lines: [{ sku: "SKU-1", quantity: 2n, weightGrams: 250 }] },
    ]);
    await soon(() => expect(mailsOf(id)).toEqual(["confirmation"]));
    expect(suite.shop.notifications.confirmations[0]).toMatchObject({
      recipient: { orderId: id, email: "buyer@example.com" },
      total: { minorUnits: 2_490n },
      shippingTitle: "Standard",
    });
  });

  it("leave and arrive, whatever is told twice", async () => {
    const { id } = await paidOrder(suite.shop, { "SKU-1": 1n });
    const shipment = shipmentOf(id);
    for (const state of ["IN_TRANSIT", "IN_TRANSIT", "DELIVERED", "DELIVERED"] as const) {
      suite.shop.shipping.tell(shipment, state);
    }
    const order = await suite.shop.until(id, ({ state }) => state === "COMPLETED");
    expect(order.history.slice(-2).map(({ state, actor, note }) => [state, actor, note])).toEqual([
      ["SHIPPED", "shipping", "goods are on their way"],
      ["COMPLETED", "shipping", "goods arrived"],
    ]);
    await soon(() => expect([...mailsOf(id)].sort()).toEqual(["confirmation", "delivered", "shipped"]));
  });

  it("that could not be delivered come back into stock, and their price to the buyer", async () => {
    const { id } = await paidOrder(suite.shop, { "SKU-1": 2n, "SKU-2": 1n });
    suite.shop.shipping.tell(shipmentOf(id), "IN_TRANSIT");
    suite.shop.shipping.tell(shipmentOf(id), "DELIVERED", { "SKU-1": 1n });
    const order = await suite.shop.until(id, (now) => now.refunded === 1_000n && isAtRest(now));
    expect(order).toMatchObject({ state: "COMPLETED", announced: 0, promised: 0n });
    expect(suite.shop.inventory.available.get("SKU-1")).toBe(9n);
    await soon(() => expect(mailsOf(id)).toContain("refund of 1000"));
    // What was taken back is not taken back again.
    suite.shop.shipping.tell(shipmentOf(id), "DELIVERED", { "SKU-1": 1n });
    const other = await paidOrder(suite.shop, { "SKU-1": 1n });
    suite.shop.shipping.tell(shipmentOf(other.id), "IN_TRANSIT");
    await suite.shop.until(other.id, ({ state }) => state === "SHIPPED");
    expect(await suite.shop.until(id, isAtRest)).toMatchObject({ refunded: 1_000n, dues: 1 });
  });

  it("wait for a shipping that is away, and no mail is written before they are booked", async () => {
    const back = away("ShippingService.createShipment");
    const placing = paidOrder(suite.shop, { "SKU-1": 1n });
    await soon(() => expect(callsOf("ShippingService.createShipment")).toBeGreaterThan(2));
    expect(suite.shop.notifications.confirmations).toEqual([]);
    back();
    const { id, order } = await placing;
    expect(order.state).toBe("PAID");
    expect(suite.shop.shipping.booked.size).toBe(1);
    await soon(() => expect(mailsOf(id)).toEqual(["confirmation"]));
  });

  it("wait for no mail: notifications may be away, and writes later", async () => {
    const back = away("NotificationService");
    const { id } = await paidOrder(suite.shop, { "SKU-1": 1n });
    suite.shop.shipping.tell(shipmentOf(id), "IN_TRANSIT");
    suite.shop.shipping.tell(shipmentOf(id), "DELIVERED");
    await suite.shop.until(id, ({ state }) => state === "COMPLETED");
    expect(mailsOf(id)).toEqual([]);
    back();
    await soon(() => expect([...mailsOf(id)].sort()).toEqual(["confirmation", "delivered", "shipped"]));
  });

  it("are booked once when the answer is lost, and are known from what shipping tells", async () => {
    const lost = gate();
    suite.shop.interference.after = async (method) => {
      if (method === "ShippingService.createShipment") {
        await lost.opened;
        throw meshFailure("SERVICE_UNAVAILABLE", "lost");
      }
    };
    const placing = paidOrder(suite.shop, { "SKU-1": 1n });
    await soon(() => expect(suite.shop.shipping.shipments.size).toBe(1));
    const [shipment] = suite.shop.shipping.shipments.values();
    suite.shop.shipping.tell(shipment?.id ?? "", "IN_TRANSIT");
    await suite.shop.until(shipment?.orderId ?? "", ({ state }) => state === "SHIPPED");
    suite.shop.interference.after = () => {};
    lost.open();
    const { id } = await placing;
    expect(suite.shop.shipping.booked.size).toBe(1);
    await soon(() => expect([...mailsOf(id)].sort()).toEqual(["confirmation", "shipped"]));
  });
});

describe("an order that is cancelled once it is booked", () => {
  it("is undone when its shipment is called off, and the buyer hears of the refund", async () => {
    const { id, cancel, atRest } = await paidOrder(suite.shop, { "SKU-1": 1n });
    await cancel();
    expect(await atRest()).toMatchObject({ state: "CANCELLED", shipmentId: undefined, refunded: 1_490n });
    expect(suite.shop.inventory.available.get("SKU-1")).toBe(10n);
    expect(callsOf("ShippingService.cancelShipment")).toBe(1);
    await soon(() => expect(mailsOf(id)).toContain("refund of 1490"));
  });

  it("goes on when its goods are loaded already, and says so", async () => {
    const { id, cancel } = await paidOrder(suite.shop, { "SKU-1": 1n });
    const held = gate();
    suite.shop.interference.before = async (method) => {
      if (method === "ShippingService.cancelShipment") await held.opened;
    };
    await cancel();
    suite.shop.shipping.tell(shipmentOf(id), "IN_TRANSIT");
    const shipped = await suite.shop.until(id, ({ state }) => state === "SHIPPED");
    expect(shipped.history.at(-1)?.note).toBe("too late to cancel: goods are on their way");
    held.open();
    suite.shop.shipping.tell(shipmentOf(id), "DELIVERED");
    const order = await suite.shop.until(id, ({ state }) => state === "COMPLETED");
    expect(order).toMatchObject({ refunded: 0n, step: "done" });
  });
});

describe("a return", () => {
  it("is fetched, and received when it is at the depot", async () => {
    const { announce, atRest } = await paidOrder(suite.shop, { "SKU-1": 2n });
    const returnId = returnIdOf(await announce({ "SKU-1": 1n }));
    await soon(() => expect(shipmentOf(returnId)).not.toBe(""));
    suite.shop.shipping.tell(shipmentOf(returnId), "IN_TRANSIT");
    suite.shop.shipping.tell(shipmentOf(returnId), "DELIVERED");
    const { id } = await atRest();
    const order = await suite.shop.until(id, (now) => now.refunded === 1_000n && isAtRest(now));
    expect(order.history.find(({ note }) => note.startsWith("goods came back"))?.actor).toBe("shipping");
  });

  it("that is withdrawn is not fetched; when it is on its way already it counts as what came", async () => {
    const { id, announce, withdraw } = await paidOrder(suite.shop, { "SKU-1": 3n });
    const first = returnIdOf(await announce({ "SKU-1": 1n }));
    await soon(() => expect(shipmentOf(first)).not.toBe(""));
    await withdraw(first);
    await soon(() => expect(suite.shop.shipping.told.map(({ event }) => event?.returnId)).toContain(first));
    const second = returnIdOf(await announce({ "SKU-1": 1n }));
    await soon(() => expect(shipmentOf(second)).not.toBe(""));
    suite.shop.shipping.tell(shipmentOf(second), "IN_TRANSIT");
    await withdraw(second);
    suite.shop.shipping.tell(shipmentOf(second), "DELIVERED");
    const order = await suite.shop.until(id, (now) => now.refunded === 1_000n && isAtRest(now));
    expect(order).toMatchObject({ withdrawn: 2, announced: 0, dues: 1 });
  });
});
