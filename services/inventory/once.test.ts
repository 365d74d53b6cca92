import { afterAll, beforeAll } from "vitest";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import { Reservation_State } from "#gen/shop/inventory/v1/stock.ts";
import { type OnceRequest, person, testOnce, workload } from "#testing/once.ts";
import { callersOf, startTestInventory, type TestInventory } from "./testing/inventory.ts";

let inventory: TestInventory;
beforeAll(async () => {
  inventory = await startTestInventory();
});
afterAll(() => inventory?.close());

const { held, operator, reservation, sold, stocked, stockOf } = callersOf(() => inventory);
const orders = () => [workload("orders")] as const;

const movementsOf = async (sku: string) =>
  (await operator.client().listMovements({ sku, pageSize: 0, pageToken: "" }, operator.call())).movements.length;

/** The stock and how many movements have led to it. */
const effectOn = (sku: string) => async () => ({ ...(await stockOf(sku)), movements: await movementsOf(sku) });

/** A request that settles one of two reservations that are alike. */
async function settling(
  requestId: string,
  { left, state }: { readonly left: bigint; readonly state: Reservation_State },
): Promise<OnceRequest<{ readonly requestId: string; readonly reservationId: string }, unknown>> {
  const sku = await stocked(5n);
  const [reservationId, another] = [await held([{ sku, quantity: 2n }]), await held([{ sku, quantity: 2n }])];
  const request = { requestId, reservationId };
  return {
    request,
    other: () => ({ ...request, reservationId: another }),
    effect: async () => ({
      states: [(await reservation(reservationId)).state, (await reservation(another)).state],
      ...(await effectOn(sku)()),
    }),
    once: {
      states: [state, Reservation_State.ACTIVE],
      ...{ onHand: left, reserved: 2n, available: left - 2n, movements: 4 },
    },
  };
}

testOnce(InventoryService, () => inventory.shop, {
  adjustStock: {
    callers: () => [workload("operator"), person("warehouse")],
    prepare: async (_, requestId) => {
      const sku = await stocked(1n);
      const request = { requestId, sku, delta: 5n, note: "" };
      return {
        request,
        other: () => ({ ...request, delta: 6n }),
        effect: effectOn(sku),
        once: { onHand: 6n, reserved: 0n, available: 6n, movements: 2 },
      };
    },
  },
  createReservation: {
    callers: orders,
    prepare: async (_, requestId) => {
      const sku = await stocked(100n);
      const lines = [{ sku, quantity: 1n }];
      const request = { requestId, reference: "ord_1", lines, timeToLive: { seconds: 60n, nanos: 0 } };
      return {
        request,
        other: () => ({ ...request, lines: [{ sku, quantity: 2n }] }),
        effect: effectOn(sku),
        once: { onHand: 100n, reserved: 1n, available: 99n, movements: 2 },
      };
    },
  },
  commitReservation: {
    callers: orders,
    prepare: (_, requestId) => settling(requestId, { left: 3n, state: Reservation_State.COMMITTED }),
  },
  releaseReservation: {
    callers: orders,
    prepare: (_, requestId) => settling(requestId, { left: 5n, state: Reservation_State.RELEASED }),
  },
  restockReservation: {
    callers: orders,
    prepare: async (_, requestId) => {
      const sku = await stocked(100n);
      const request = {
        requestId,
        reservationId: await sold([{ sku, quantity: 100n }]),
        lines: [{ sku, quantity: 1n }],
      };
      return {
        request,
        other: () => ({ ...request, lines: [{ sku, quantity: 2n }] }),
        effect: effectOn(sku),
        once: { onHand: 1n, reserved: 0n, available: 1n, movements: 4 },
      };
    },
  },
});
