import {
  type Movement,
  Movement_Kind,
  type Reservation,
  Reservation_State,
  type Stock,
} from "#gen/shop/inventory/v1/stock.ts";
import { available } from "./domain.ts";
import type { MovementRow, StockRow } from "./store.ts";
import type { ReservationRow } from "./store-reservations.ts";

/** A stock as the contract shows it. */
export function stockMessage(row: StockRow): Stock {
  return {
    sku: row.sku,
    onHand: row.onHand,
    reserved: row.reserved,
    available: available(row),
    updateTime: row.updateTime,
  };
}

/** A reservation as the contract shows it. */
export function reservationMessage(row: ReservationRow): Reservation {
  return { ...row, state: Reservation_State[row.state] };
}

/** A movement as the contract shows it. */
export function movementMessage(row: MovementRow): Movement {
  return { ...row, kind: Movement_Kind[row.kind] };
}
