import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import type {
  CommitReservationRequest,
  CreateReservationRequest,
  ReleaseReservationRequest,
  RestockReservationRequest,
} from "#gen/shop/inventory/v1/inventory_service.ts";
import { type Reservation, Reservation_State } from "#gen/shop/inventory/v1/stock.ts";
import type { Implementation } from "#mesh/contract/contract.ts";
import { failures, meshFailure } from "#mesh/contract/errors.ts";
import { type Interference, partialService } from "./partial-service.ts";

/** Stock in memory. */
export interface FakeInventory {
  /** Units that can still be held, by SKU. */
  readonly available: Map<string, bigint>;
  readonly reservations: Map<string, Reservation>;
  /** Has the time of a hold run out. */
  expire(reservationId: string): void;
  readonly service: Implementation;
}

const fail = failures(InventoryService);

export function fakeInventory(interference: Interference): FakeInventory {
  const books = newBooks();
  const commitReservation = async ({ reservationId }: CommitReservationRequest) => {
    const reservation = books.find(reservationId);
    if (reservation.state === Reservation_State.COMMITTED) return { reservation };
    if (reservation.state === Reservation_State.EXPIRED) throw fail("RESERVATION_EXPIRED", "expired");
    if (reservation.state === Reservation_State.RELEASED) throw fail("RESERVATION_RELEASED", "released");
    return { reservation: books.end(reservation, Reservation_State.COMMITTED) };
  };
  const releaseReservation = async ({ reservationId }: ReleaseReservationRequest) => {
    const reservation = books.find(reservationId);
    if (reservation.state === Reservation_State.COMMITTED) throw fail("RESERVATION_COMMITTED", "committed");
    if (reservation.state !== Reservation_State.ACTIVE) return { reservation };
    return { reservation: books.end(reservation, Reservation_State.RELEASED) };
  };
  const handlers = {
    createReservation: createReservation(books),
    commitReservation,
    releaseReservation,
    restockReservation: restockReservation(books),
  };
  return {
    available: books.available,
    reservations: books.reservations,
    expire: (reservationId) => {
      books.end(books.find(reservationId), Reservation_State.EXPIRED);
    },
    service: partialService(InventoryService, handlers, interference),
  };
}

function newBooks() {
  const available = new Map<string, bigint>();
  const reservations = new Map<string, Reservation>();
  return {
    available,
    reservations,
    byRequest: new Map<string, { readonly body: string; readonly reservationId: string }>(),
    restocked: new Set<string>(),
    end: (reservation: Reservation, state: Reservation["state"]): Reservation => {
      if (state !== Reservation_State.COMMITTED) {
        for (const { sku, quantity } of reservation.lines) available.set(sku, (available.get(sku) ?? 0n) + quantity);
      }
      const ended = { ...reservation, state };
      reservations.set(reservation.id, ended);
      return ended;
    },
    find: (id: string): Reservation => {
      const found = reservations.get(id);
      if (found === undefined) throw fail("RESERVATION_NOT_FOUND", "no such reservation");
      return found;
    },
  };
}

const createReservation =
  ({ available, reservations, byRequest, find }: ReturnType<typeof newBooks>) =>
  async ({ requestId, reference, lines }: CreateReservationRequest) => {
    const body = JSON.stringify([reference, lines.map(({ sku, quantity }) => [sku, `${quantity}`])]);
    const known = byRequest.get(requestId);
    if (known !== undefined) {
      if (known.body !== body) throw meshFailure("REQUEST_ID_REUSED", "reused");
      return { reservation: find(known.reservationId) };
    }
    const unknown = lines.find(({ sku }) => !available.has(sku));
    if (unknown !== undefined) throw fail("UNKNOWN_SKU", "unknown", { sku: unknown.sku });
    const short = lines.filter(({ sku, quantity }) => (available.get(sku) ?? 0n) < quantity);
    if (short.length > 0) {
      const left = short.map(({ sku }) => [`available.${sku}`, `${available.get(sku) ?? 0n}`]);
      throw fail("OUT_OF_STOCK", "short", Object.fromEntries(left));
    }
    for (const { sku, quantity } of lines) available.set(sku, (available.get(sku) ?? 0n) - quantity);
    const reservation: Reservation = {
      id: `res_${reservations.size + 1}`,
      reference,
      state: Reservation_State.ACTIVE,
      lines: lines.map(({ sku, quantity }) => ({ sku, quantity, restockedQuantity: 0n })),
      expireTime: undefined,
      createTime: undefined,
      updateTime: undefined,
    };
    reservations.set(reservation.id, reservation);
    byRequest.set(requestId, { body, reservationId: reservation.id });
    return { reservation };
  };

const restockReservation =
  ({ available, reservations, restocked, find }: ReturnType<typeof newBooks>) =>
  async ({ requestId, reservationId, lines }: RestockReservationRequest) => {
    const reservation = find(reservationId);
    if (restocked.has(requestId)) return { reservation };
    if (reservation.state !== Reservation_State.COMMITTED) throw fail("RESERVATION_NOT_COMMITTED", "not sold");
    for (const { sku, quantity } of lines) {
      const sold = reservation.lines.find((line) => line.sku === sku);
      const left = (sold?.quantity ?? 0n) - (sold?.restockedQuantity ?? 0n);
      if (quantity > left) throw fail("QUANTITY_TOO_LARGE", "too many", { sku, restockable: `${left}` });
    }
    for (const { sku, quantity } of lines) available.set(sku, (available.get(sku) ?? 0n) + quantity);
    const came = (sku: string) => lines.find((line) => line.sku === sku)?.quantity ?? 0n;
    const changed = {
      ...reservation,
      lines: reservation.lines.map((line) => ({ ...line, restockedQuantity: line.restockedQuantity + came(line.sku) })),
    };
    reservations.set(reservationId, changed);
    restocked.add(requestId);
    return { reservation: changed };
  };
