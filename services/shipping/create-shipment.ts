import type { CreateShipmentRequest, CreateShipmentResponse } from "#gen/shop/shipping/v1/shipping_service.ts";
import type { Address } from "#gen/shop/type/v1/address.ts";
import {
  expectSameRequest,
  type Opened,
  type OwnTransaction,
  type RequestKey,
  requestKeyOf,
  runChange,
} from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Deps, OpenedRate } from "./deps.ts";
import { zoneOf } from "./domain-network.ts";
import { packGoods } from "./domain-packing.ts";
import { fail, notServed, tooLarge } from "./errors.ts";
import { shipmentMessage } from "./messages.ts";
import * as store from "./store.ts";
import { bookedStatements, insertShipment, readBooked } from "./store-write.ts";

const DAY_MS = 24 * 3_600_000;

/** How goods come back. */
const RETURN_RATE: OpenedRate = { speed: "STANDARD", maxDays: 5 };

/** Books a shipment. Its request is known as long as it: an order may hang for weeks. */
export const createShipment =
  (deps: Deps) =>
  async (request: CreateShipmentRequest, call: Call): Promise<CreateShipmentResponse> => {
    const key = requestKeyOf(call, request);
    const book = async (tx: OwnTransaction, opened: Opened) => {
      const made = await findBooked(tx, opened, key);
      if (made !== undefined) return { shipment: made, booked: false };
      const planned = planShipment(deps, request);
      insertShipment(tx, planned, key);
      return { shipment: planned, booked: true };
    };
    const { shipment, booked } = await runChange(deps.db, call, book, bookedStatements(key, request));
    if (booked) deps.sorter.wake();
    return { shipment: shipmentMessage(shipment) };
  };

/** What the request booked before. Throws SHIPMENT_EXISTS when another one did. */
async function findBooked(tx: OwnTransaction, opened: Opened, key: RequestKey): Promise<store.ShipmentRow | undefined> {
  const { made, existingId } = readBooked(opened);
  if (made !== undefined) {
    // Where the address was erased its hash was too; the id alone is proof enough then.
    if (made.requestSha256 !== null) expectSameRequest(key, { requestSha256: made.requestSha256 });
    return store.getShipment(tx, made.id);
  }
  if (existingId === undefined) return undefined;
  const message = "The order has a shipment this way that another request made.";
  throw fail("SHIPMENT_EXISTS", message, { shipment_id: existingId });
}

function planShipment({ clock, newId, network, openRate }: Deps, request: CreateShipmentRequest): store.ShipmentRow {
  const { orderId, returnId, customerId, lines } = request;
  const address = requiredAddress(request);
  const current = network.current();
  const zone = zoneOf(current, address);
  if (zone === undefined) throw notServed(address);
  const rate = returnId === "" ? openRate(request.rateId, { address, lines }) : RETURN_RATE;
  if (rate === undefined) throw fail("RATE_NOT_FOUND", "This rate was not given for these goods and this address.");
  const packed = packGoods(lines, zone.distance, current);
  if (!packed.ok) throw tooLarge(packed.error.sku);
  const now = clock.now();
  return {
    id: newId("shp"),
    orderId,
    returnId,
    customerId,
    direction: returnId === "" ? "OUTBOUND" : "RETURN",
    state: "BOOKED",
    speed: rate.speed,
    zone: zone.id,
    depot: zone.depot,
    address,
    promisedTime: new Date(now.getTime() + rate.maxDays * DAY_MS),
    version: 1,
    createTime: now,
    updateTime: now,
    parcels: packed.value.map((parcel) => ({
      ...parcel,
      id: newId("pcl"),
      state: "BOOKED",
      expectedTime: undefined,
      legs: [],
      scans: [],
    })),
  };
}

/** The contract requires one. */
function requiredAddress({ address }: CreateShipmentRequest): Address {
  if (address === undefined) throw new TypeError("a shipment without an address passed validation");
  return address;
}
