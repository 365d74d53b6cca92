import { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import type {
  GetShipmentRequest,
  GetShipmentResponse,
  ListParcelsRequest,
  ListParcelsResponse,
  ListShipmentsRequest,
  ListShipmentsResponse,
  WatchShipmentRequest,
  WatchShipmentResponse,
} from "#gen/shop/shipping/v1/shipping_service.ts";
import { isId } from "#mesh/ids.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { decodeIdToken, decodePageToken, encodePageToken, invalidPageToken, pageById } from "#mesh/rpc/page-token.ts";
import { encodeResumeToken, versionSeen, watchInterrupted } from "#mesh/rpc/resume-token.ts";
import { customerOf, maySee } from "./access.ts";
import type { Deps } from "./deps.ts";
import { isFinalParcel, isFinalShipment } from "./domain-shipment.ts";
import { fail, invalidToken } from "./errors.ts";
import { parcelMessage, parcelStateOf, shipmentMessage, shipmentStateOf } from "./messages.ts";
import * as store from "./store.ts";

const DEFAULT_PAGE_SIZE = 20;

/** One shipment with its parcels and scans. */
export const getShipment =
  ({ db }: Pick<Deps, "db">) =>
  async ({ shipmentId }: GetShipmentRequest, call: Call): Promise<GetShipmentResponse> => ({
    shipment: shipmentMessage(visibleTo(call, await store.getShipment(db, shipmentId))),
  });

/** Shipments, the newest first. */
export const listShipments =
  ({ db }: Pick<Deps, "db">) =>
  async (request: ListShipmentsRequest, call: Call): Promise<ListShipmentsResponse> => {
    const { orderId, state } = request;
    const customerId = customerOf(call);
    const filter = { customerId, orderId, state };
    const limit = request.pageSize === 0 ? DEFAULT_PAGE_SIZE : request.pageSize;
    const found = await store.listShipments(db, {
      customerId,
      orderId: orderId === "" ? undefined : orderId,
      state: shipmentStateOf(state),
      beforeId: decodeIdToken(filter, request.pageToken, "shp"),
      limit: limit + 1,
    });
    const { items, nextPageToken } = pageById(found, { limit, filter });
    return { shipments: items.map(shipmentMessage), nextPageToken };
  };

/** A depot's parcels, those whose tour leaves first before the others. */
export const listParcels =
  ({ db }: Pick<Deps, "db">) =>
  async (request: ListParcelsRequest): Promise<ListParcelsResponse> => {
    const { depot } = request;
    const state = parcelStateOf(request.state);
    const filter = { depot, state };
    const limit = request.pageSize === 0 ? DEFAULT_PAGE_SIZE : request.pageSize;
    const found = await store.listParcels(db, {
      depot,
      state,
      open: state === undefined || !isFinalParcel(state),
      after: depotPosition(decodePageToken(filter, request.pageToken)),
      limit: limit + 1,
    });
    const rows = found.slice(0, limit);
    const last = rows.at(-1);
    return {
      parcels: rows.map(({ parcel, shipmentId, promisedTime }) =>
        parcelMessage(parcel, { id: shipmentId, promisedTime }),
      ),
      nextPageToken:
        found.length > limit && last !== undefined
          ? encodePageToken(filter, [last.departTime.getTime(), last.parcel.id])
          : "",
    };
  };

function depotPosition(position: unknown): { readonly departTime: Date; readonly parcelId: string } | undefined {
  if (position === undefined) return undefined;
  const [time, parcelId]: readonly unknown[] = Array.isArray(position) ? position : [];
  if (typeof time !== "number" || typeof parcelId !== "string" || !isId("pcl", parcelId)) throw invalidPageToken();
  const departTime = new Date(time);
  if (Number.isNaN(departTime.getTime())) throw invalidPageToken();
  return { departTime, parcelId };
}

/** The shipment at once, or since the token, and after every change, to its final state. */
export const watchShipment = ({ db, changes }: Pick<Deps, "db" | "changes">) =>
  async function* (
    { shipmentId, resumeToken }: WatchShipmentRequest,
    call: Call,
  ): AsyncGenerator<WatchShipmentResponse> {
    const watch = changes.watch(shipmentId);
    try {
      let shipment = visibleTo(call, await store.getShipment(db, shipmentId));
      const resumed = { watch: { shipmentId }, token: resumeToken, invalid: invalidToken };
      const seen = versionSeen(resumed, shipment.version);
      if (shipment.version > seen) yield watched(shipment);
      while (!isFinalShipment(shipment.state)) {
        const next = await watch.next(shipment.version, call.signal);
        if (next === undefined) throw watchInterrupted(ShippingService.name);
        shipment = next;
        yield watched(shipment);
      }
    } finally {
      watch.close();
    }
  };

function watched(shipment: store.ShipmentRow): WatchShipmentResponse {
  const resumeToken = encodeResumeToken({ shipmentId: shipment.id }, [shipment.version]);
  return { shipment: shipmentMessage(shipment), resumeToken };
}

function visibleTo(call: Call, shipment: store.ShipmentRow | undefined): store.ShipmentRow {
  if (shipment === undefined || !maySee(call, shipment)) {
    throw fail("SHIPMENT_NOT_FOUND", "There is no such shipment, or it is not yours.");
  }
  return shipment;
}
