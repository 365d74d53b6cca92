import { randomBytes } from "node:crypto";
import { pino } from "pino";
import { Scan_Kind, type Shipment } from "#gen/shop/shipping/v1/shipment.ts";
import { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import type { CreateShipmentRequest } from "#gen/shop/shipping/v1/shipping_service.ts";
import { startChanges } from "#mesh/changes.ts";
import { implement } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import type { Call, User } from "#mesh/rpc/call.ts";
import { SEALING_KEY_BYTES } from "#mesh/sealed-value.ts";
import { type FakeClock, fakeClock } from "#testing/clock.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { countRetries } from "#testing/retries.ts";
import type { Deps } from "../deps.ts";
import type { ScanKind } from "../domain-shipment.ts";
import { createFeed } from "../feed.ts";
import { shippingHandlers } from "../handlers.ts";
import { type CurrentNetwork, followNetwork } from "../network.ts";
import { createRates, type Rates } from "../rates.ts";
import { sortDue } from "../sorter.ts";
import { getChangedShipments } from "../store.ts";

/** Shipping on a real database, by the network and the tariffs that the migrations fill in. Nothing moves by itself. */
export interface TestShipping extends Pick<TestDatabase, "db" | "url"> {
  /** How often a transaction had to be run again, because it and another one stood in each other's way. */
  retries(): number;
  readonly clock: FakeClock;
  readonly deps: Deps;
  readonly mesh: TestMesh;
  readonly network: CurrentNetwork;
  readonly rates: Rates;
  /** Sorts what is due, to the last. */
  sort(): Promise<void>;
  close(): Promise<void>;
}

/** Starts it; close it when the test ends. */
export async function startTestShipping(): Promise<TestShipping> {
  const database = await testDatabase(new URL("../migrations/", import.meta.url));
  const { db, retries } = countRetries(database.db);
  const clock = fakeClock();
  const log = pino({ level: "silent" });
  const network = await followNetwork({ db, log });
  const rates = createRates({ key: randomBytes(SEALING_KEY_BYTES), clock });
  const changes = startChanges({
    name: "shipments",
    read: (known) => getChangedShipments(db, known),
    log,
    intervalMs: 20,
  });
  const feed = createFeed(20);
  const deps: Deps = {
    ...{ db, clock, newId, network, changes, feed, log },
    ...{ currencyCode: "EUR", sealRate: rates.seal, openRate: rates.open },
    tell: (shipment) => {
      changes.publish(shipment);
      feed.changed();
    },
    sorter: { wake: () => {} },
  };
  const mesh = await startTestMesh({ shipping: () => [implement(ShippingService, shippingHandlers(deps))] });
  return {
    ...{ db, url: database.url, retries, clock, deps, mesh, network, rates },
    sort: async () => {
      while ((await sortDue(deps)) > 0);
    },
    close: async () => {
      feed.close();
      await changes.close();
      await mesh.close();
      await network.close();
      await database.close();
    },
  };
}

export const addressIn = (countryCode: string, postalCode: string) => {
  const rest = { recipient: "Ada Buyer", lines: ["Street 1"], city: "Town", region: "", phone: "" };
  return { ...rest, countryCode, postalCode };
};

/** Units of a SKU of so many grams each. */
export const goods = (weightGrams: number, quantity = 1n, sku = "MOTOR") => [
  { sku, quantity, weightGrams, lengthMm: 200, widthMm: 100, heightMm: 100 },
];

/** What others ask of shipping, in short. */
export function callersOf(shipping: () => TestShipping) {
  const client = (workload = "gateway") => shipping().mesh.mesh(workload).client(ShippingService);
  const as = (user: Partial<User>): Call => shipping().mesh.call({ user });
  const service = (workload: string): Call =>
    shipping().mesh.mesh(workload).background({ name: "test", timeoutMs: 20_000 });
  const orders = () => [client("orders"), service("orders")] as const;
  const courier = { id: newId("usr"), roles: ["courier"] };

  /** A request for a shipment to the centre of Munich, at a rate that was just given. */
  const request = (given: Partial<CreateShipmentRequest> = {}, speed: "STANDARD" | "EXPRESS" = "STANDARD") => {
    const { address = addressIn("DE", "80331"), lines = goods(900), returnId = "" } = given;
    const offer = { speed, minDays: 1, maxDays: 2, price: 490n, title: speed, currencyCode: "EUR" } as const;
    const rateId = returnId === "" ? shipping().rates.seal({ address, lines }, offer).id : "";
    const ids = { requestId: newId("req"), orderId: newId("ord"), customerId: newId("usr") };
    return { ...ids, address, lines, returnId, rateId, ...given };
  };
  const tryCreate = (given: CreateShipmentRequest) => {
    const [orderClient, call] = orders();
    return orderClient.try.createShipment(given, call);
  };
  const book = async (...of: Parameters<typeof request>): Promise<Shipment> => {
    const result = await tryCreate(request(...of));
    if (!result.ok) throw result.error;
    return shipmentIn(result.value);
  };
  const get = async (shipmentId: string): Promise<Shipment> => {
    const [orderClient, call] = orders();
    return shipmentIn(await orderClient.getShipment({ shipmentId }, call));
  };
  const tryScan = (
    parcelId: string,
    kind: ScanKind,
    { depot = "", requestId = newId("req"), scanTime = shipping().clock.now(), note = "" } = {},
  ) => client().try.recordScan({ requestId, parcelId, kind: Scan_Kind[kind], scanTime, depot, note }, as(courier));
  return {
    client,
    as,
    service,
    courier,
    request,
    tryCreate,
    book,
    get,
    tryScan,
    /** Scans a parcel, a minute after the last scan. */
    scan: async (parcelId: string, kind: ScanKind, depot = "") => {
      shipping().clock.advance(60_000);
      const result = await tryScan(parcelId, kind, { depot });
      if (!result.ok) throw result.error;
      return result.value;
    },
    tryCancel: (shipmentId: string, requestId = newId("req")) => {
      const [orderClient, call] = orders();
      return orderClient.try.cancelShipment({ requestId, shipmentId }, call);
    },
  };
}

function shipmentIn({ shipment }: { readonly shipment: Shipment | undefined }): Shipment {
  if (shipment === undefined) throw new Error("an answer without a shipment");
  return shipment;
}

/** The only parcel of a shipment. */
export function parcelIdOf({ parcels }: Shipment): string {
  const [parcel, ...others] = parcels;
  if (parcel === undefined || others.length > 0) throw new Error(`a shipment of ${parcels.length} parcels`);
  return parcel.id;
}
