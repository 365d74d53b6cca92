import { pino } from "pino";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import { implement } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import type { Database } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { type FakeClock, fakeClock } from "#testing/clock.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { testDatabase } from "#testing/postgres.ts";
import { countRetries } from "#testing/retries.ts";
import { startStockChanges } from "../changes.ts";
import type { Deps } from "../deps.ts";
import type { HoldLine } from "../domain.ts";
import { inventoryHandlers } from "../handlers.ts";

/** Inventory on a real database, served over real sockets. */
export interface TestInventory {
  readonly db: Database;
  /** How often a transaction had to be run again, because it and another one stood in each other's way. */
  retries(): number;
  readonly deps: Deps;
  readonly clock: FakeClock;
  readonly shop: TestMesh;
  close(): Promise<void>;
}

/** Starts it; close it when the test ends. */
export async function startTestInventory(): Promise<TestInventory> {
  const database = await testDatabase(new URL("../migrations/", import.meta.url));
  const { db, retries } = countRetries(database.db);
  const clock = fakeClock();
  const log = pino({ level: "silent" });
  const changes = startStockChanges({ db, log });
  const deps: Deps = { db, clock, newId, changes, log };
  const shop = await startTestMesh({ inventory: () => [implement(InventoryService, inventoryHandlers(deps))] });
  return {
    ...{ db, retries, deps, clock, shop },
    close: async () => {
      await changes.close();
      await shop.close();
      await database.close();
    },
  };
}

/** What others ask of inventory, in short. */
export function callersOf(inventory: () => TestInventory) {
  const { orders, operator } = { orders: meshOf("orders"), operator: meshOf("operator") };
  function meshOf(workload: string) {
    return {
      client: () => inventory().shop.mesh(workload).client(InventoryService),
      call: (): Call => inventory().shop.mesh(workload).background({ name: "test", timeoutMs: 10_000 }),
    };
  }
  let skus = 0;
  const hold = (lines: readonly HoldLine[], seconds = 60n, requestId = newId("req")) =>
    orders
      .client()
      .try.createReservation(
        { requestId, reference: "ord_1", lines, timeToLive: { seconds, nanos: 0 } },
        orders.call(),
      );
  const commit = (reservationId: string, requestId = newId("req")) =>
    orders.client().try.commitReservation({ requestId, reservationId }, orders.call());
  const held = async (lines: readonly HoldLine[], seconds?: bigint): Promise<string> => {
    const result = await hold(lines, seconds);
    if (!result.ok) throw result.error;
    return result.value.reservation?.id ?? "";
  };
  return {
    orders,
    operator,
    hold,
    held,
    commit,
    release: (reservationId: string, requestId = newId("req")) =>
      orders.client().try.releaseReservation({ requestId, reservationId }, orders.call()),
    restock: (reservationId: string, lines: readonly HoldLine[], requestId = newId("req")) =>
      orders.client().try.restockReservation({ requestId, reservationId, lines }, orders.call()),
    /** A new SKU with so many units. */
    stocked: async (quantity: bigint): Promise<string> => {
      skus += 1;
      const request = { requestId: newId("req"), sku: `SKU-${skus}`, delta: quantity, note: "opening" };
      await operator.client().adjustStock(request, operator.call());
      return request.sku;
    },
    /** A reservation of these lines that is committed. */
    sold: async (lines: readonly HoldLine[]): Promise<string> => {
      const id = await held(lines);
      const result = await commit(id);
      if (!result.ok) throw result.error;
      return id;
    },
    stockOf: async (sku: string) => {
      const { stock } = await operator.client().getStock({ sku }, operator.call());
      return { onHand: stock?.onHand, reserved: stock?.reserved, available: stock?.available };
    },
    reservation: async (reservationId: string) => {
      const { reservation } = await orders.client().getReservation({ reservationId }, orders.call());
      if (reservation === undefined) throw new Error("an answer without a reservation");
      return reservation;
    },
  };
}
