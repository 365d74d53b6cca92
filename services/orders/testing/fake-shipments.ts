import { once } from "node:events";
import { Direction, type Shipment, Shipment_State, Speed } from "#gen/shop/shipping/v1/shipment.ts";
import { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import type {
  CancelShipmentRequest,
  CreateShipmentRequest,
  WatchShipmentEventsRequest,
  WatchShipmentEventsResponse,
} from "#gen/shop/shipping/v1/shipping_service.ts";
import { failures } from "#mesh/contract/errors.ts";
import type { Call } from "#mesh/rpc/call.ts";

/** Shipments in memory, and what is told of them. */
export interface FakeShipments {
  readonly shipments: Map<string, Shipment>;
  /** What was booked, by request_id. */
  readonly booked: ReadonlyMap<string, CreateShipmentRequest>;
  /** The shipment of an order to its buyer, or of a return. */
  shipmentOf(id: string): Shipment | undefined;
  /** Has something become of a shipment, and tells of it; twice, when a test wants that. */
  tell(shipmentId: string, state: keyof typeof Shipment_State, back?: Readonly<Record<string, bigint>>): void;
  /** Everything that was told so far. */
  readonly told: WatchShipmentEventsResponse[];
}

const fail = failures(ShippingService);

export function fakeShipments() {
  const shipments = new Map<string, Shipment>();
  const booked = new Map<string, CreateShipmentRequest>();
  const told: WatchShipmentEventsResponse[] = [];
  const bell = new EventTarget();
  const tell: FakeShipments["tell"] = (id, state, back = {}) => {
    const shipment = shipments.get(id);
    if (shipment === undefined) throw new Error(`no shipment ${id}`);
    shipments.set(id, { ...shipment, state: Shipment_State[state] });
    told.push(newsOf(shipment, told.length + 1, Shipment_State[state], back));
    bell.dispatchEvent(new Event("told"));
  };
  const createShipment = async (request: CreateShipmentRequest) => {
    const id = `shp_${request.requestId}`;
    const known = shipments.get(id);
    if (known !== undefined) return { shipment: known };
    const shipment = newShipment(id, request);
    shipments.set(id, shipment);
    booked.set(request.requestId, request);
    return { shipment };
  };
  const cancelShipment = async ({ shipmentId }: CancelShipmentRequest) => {
    const shipment = shipments.get(shipmentId);
    if (shipment === undefined) throw fail("SHIPMENT_NOT_FOUND", "no such shipment");
    if (shipment.state !== Shipment_State.BOOKED && shipment.state !== Shipment_State.CANCELLED) {
      throw fail("ALREADY_LOADED", "loaded", { state: "IN_TRANSIT" });
    }
    if (shipment.state === Shipment_State.BOOKED) tell(shipmentId, "CANCELLED");
    return { shipment: shipments.get(shipmentId) };
  };
  async function* watchShipmentEvents({ resumeToken }: WatchShipmentEventsRequest, call: Call) {
    const from = resumeToken === "" ? 0 : Number(resumeToken);
    if (from > told.length) throw fail("RESUME_TOKEN_INVALID", "from another shop");
    for (let at = from; !call.signal.aborted; at += 1) {
      while (told[at] === undefined && !call.signal.aborted) {
        await once(bell, "told", { signal: call.signal }).catch(() => {});
      }
      const next = told[at];
      if (next !== undefined) yield next;
    }
  }
  return {
    shipments,
    booked,
    told,
    tell,
    shipmentOf: (id: string) =>
      [...shipments.values()].find(({ orderId, returnId }) => (returnId === "" ? orderId : returnId) === id),
    handlers: { createShipment, cancelShipment, watchShipmentEvents },
  };
}

function newShipment(id: string, request: CreateShipmentRequest): Shipment {
  const { orderId, customerId, returnId, address } = request;
  return {
    ...{ id, orderId, customerId, returnId, address },
    direction: returnId === "" ? Direction.OUTBOUND : Direction.RETURN,
    state: Shipment_State.BOOKED,
    speed: Speed.STANDARD,
    parcels: [],
    estimatedDeliveryTime: undefined,
    createTime: undefined,
    updateTime: undefined,
  };
}

function newsOf(
  { id: shipmentId, orderId, returnId, direction }: Shipment,
  seq: number,
  state: Shipment_State,
  back: Readonly<Record<string, bigint>>,
): WatchShipmentEventsResponse {
  const returnedLines = Object.entries(back).map(([sku, quantity]) => ({ sku, quantity }));
  const news = { shipmentId, orderId, returnId, direction, state, returnedLines, eventTime: undefined };
  return { event: { id: `sev_${seq}`, ...news }, resumeToken: `${seq}` };
}
