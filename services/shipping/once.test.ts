import { afterAll, beforeAll } from "vitest";
import { Scan_Kind } from "#gen/shop/shipping/v1/shipment.ts";
import { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import { newId } from "#mesh/ids.ts";
import { person, testOnce, workload } from "#testing/once.ts";
import { addressIn, callersOf, parcelIdOf, startTestShipping, type TestShipping } from "./testing/shipping.ts";

let shipping: TestShipping;
beforeAll(async () => {
  shipping = await startTestShipping();
});
afterAll(() => shipping?.close());

const { book, get, request: shipmentRequest, scan, tryCancel } = callersOf(() => shipping);

const count = async (text: string, value: string) => (await shipping.db.query(text, [value])).length;

testOnce(ShippingService, () => shipping.mesh, {
  createShipment: {
    callers: () => [workload("orders")],
    prepare: async (_, requestId) => {
      const request = shipmentRequest({ requestId });
      return {
        request,
        other: () => ({ ...request, address: addressIn("DE", "80333") }),
        effect: () => count("select id from shipments where order_id = $1", request.orderId),
        once: 1,
      };
    },
  },
  cancelShipment: {
    callers: () => [workload("orders")],
    prepare: async (_, requestId) => {
      const [one, another] = [await book(), await book()];
      const request = { requestId, shipmentId: one.id };
      return {
        request,
        other: () => ({ ...request, shipmentId: another.id }),
        effect: () => count("select id from shipment_events where shipment_id = any($1)", `{${one.id},${another.id}}`),
        once: 1,
      };
    },
  },
  recordScan: {
    callers: () => [person("courier"), person("warehouse")],
    prepare: async (_, requestId) => {
      const parcelId = parcelIdOf(await book());
      const scanTime = shipping.clock.now();
      const request = { requestId, parcelId, kind: Scan_Kind.LOADED, scanTime, depot: "frankfurt", note: "" };
      return {
        request,
        other: () => ({ ...request, kind: Scan_Kind.DELIVERED }),
        effect: () => count("select kind from scans where parcel_id = $1", parcelId),
        once: 1,
      };
    },
  },
  eraseCustomerData: {
    callers: () => [workload("customers")],
    prepare: async (_, requestId) => {
      const [customerId, another] = [newId("usr"), newId("usr")];
      const shipments = [await book({ customerId }), await book({ customerId: another })];
      for (const { id } of shipments) await tryCancel(id);
      const request = { requestId, customerId };
      return {
        request,
        other: () => ({ ...request, customerId: another }),
        meanwhile: async () => scan(parcelIdOf(await book()), "DELIVERED"),
        effect: () => Promise.all(shipments.map(async ({ id }) => (await get(id)).address === undefined)),
        once: [true, false],
      };
    },
  },
});
