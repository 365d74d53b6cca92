import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import type {
  RestockReservationRequest,
  RestockReservationResponse,
} from "#gen/shop/inventory/v1/inventory_service.ts";
import { failures, type RpcError } from "#mesh/contract/errors.ts";
import {
  expectSameRequest,
  type OwnTransaction,
  type RequestKey,
  requestKeyOf,
  runChange,
} from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Deps } from "./deps.ts";
import { planRestock, type ReservationLine, type RestockPlan } from "./domain.ts";
import { reservationMessage } from "./messages.ts";
import * as store from "./store-reservations.ts";
import * as restockStore from "./store-restock.ts";

const fail = failures(InventoryService);

/** Takes sold units back into stock: all lines or none. */
export const restockReservation =
  (deps: Deps) =>
  async (request: RestockReservationRequest, call: Call): Promise<RestockReservationResponse> => {
    const key = requestKeyOf(call, request);
    const reservation = await runChange(deps.db, call, (tx) => restock(deps, tx, { request, key }));
    deps.changes.changed(request.lines.map((line) => line.sku));
    return { reservation: reservationMessage(reservation) };
  };

async function restock(
  { clock, newId }: Deps,
  tx: OwnTransaction,
  { request, key }: { readonly request: RestockReservationRequest; readonly key: RequestKey },
): Promise<store.ReservationRow> {
  // One round trip; the key is looked for under the reservation's lock.
  const [reservation, earlier] = await Promise.all([
    store.lockReservation(tx, request.reservationId),
    restockStore.findRestock(tx, key),
  ]);
  if (earlier !== undefined) expectSameRequest(key, earlier);
  if (reservation === undefined) throw fail("RESERVATION_NOT_FOUND", "There is no such reservation.");
  if (earlier !== undefined) return asAnswered(reservation, earlier.restockedQuantities);
  const plan = planRestock(reservation, request.lines);
  if (plan.kind !== "restock") throw refusal(plan);
  restockStore.restock(tx, {
    reservation: { ...reservation, lines: plan.after },
    back: request.lines,
    movementIds: request.lines.map(() => newId("mov")),
    key,
    now: clock.now(),
  });
  return { ...reservation, lines: plan.after };
}

/** The reservation as it was after an earlier restock: what a copy of that request is answered with. */
function asAnswered(reservation: store.ReservationRow, restocked: readonly bigint[]): store.ReservationRow {
  const lines = reservation.lines.map(
    (line, at): ReservationLine => ({ ...line, restockedQuantity: restocked[at] ?? 0n }),
  );
  return { ...reservation, lines };
}

function refusal(plan: Exclude<RestockPlan, { kind: "restock" }>): RpcError {
  switch (plan.kind) {
    case "not_committed":
      return fail("RESERVATION_NOT_COMMITTED", "The reservation is not committed: none of its units were sold.", {
        state: plan.state,
      });
    case "quantity_too_large":
      return fail("QUANTITY_TOO_LARGE", `Of ${plan.sku} only ${plan.restockable} can come back.`, {
        sku: plan.sku,
        restockable: String(plan.restockable),
      });
  }
}
