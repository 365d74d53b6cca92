import { isDeepStrictEqual } from "node:util";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import { type Reservation, Reservation_State } from "#gen/shop/inventory/v1/stock.ts";
import type { RequestOf } from "#mesh/contract/contract.ts";
import { failures, meshFailure, type RpcError } from "#mesh/contract/errors.ts";
import type { Handlers } from "./clients.ts";
import { Violation, type World } from "./world.ts";

const fail = failures(InventoryService);

/** How long after its time a reservation is given back at the latest, when nobody asks for its units before. */
const SWEEP_INTERVAL_MS = 1_000;

interface Stock {
  onHand: bigint;
  reserved: bigint;
}

/** The inventory service: what it does with a request, and with one that came before. */
export type Inventory = ReturnType<typeof createInventory>;

export function createInventory(world: World, stocked: ReadonlyMap<string, bigint>) {
  const stock = new Map<string, Stock>([...stocked].map(([sku, units]) => [sku, { onHand: units, reserved: 0n }]));
  const reservations = new Map<string, Reservation>();

  const level = (sku: string): Stock => {
    const found = stock.get(sku);
    if (found === undefined) throw fail("UNKNOWN_SKU", sku, { sku });
    return found;
  };
  const available = (sku: string): bigint => level(sku).onHand - level(sku).reserved;
  const settle = (reservation: Reservation, to: "COMMITTED" | "RELEASED" | "EXPIRED"): Reservation => {
    for (const { sku, quantity } of reservation.lines) {
      level(sku).reserved -= quantity;
      if (to === "COMMITTED") level(sku).onHand -= quantity;
    }
    return keep({ ...reservation, state: Reservation_State[to] });
  };
  const keep = (reservation: Reservation): Reservation => {
    reservations.set(reservation.id, reservation);
    world.changed = true;
    return reservation;
  };
  const find = (id: string): Reservation => {
    const found = reservations.get(id);
    if (found === undefined) throw fail("RESERVATION_NOT_FOUND", id);
    return found;
  };
  const expire = (id: string): void => {
    const reservation = find(id);
    if (reservation.state !== Reservation_State.ACTIVE) return;
    world.note(() => `${id} of ${reservation.reference} expires`);
    settle(reservation, "EXPIRED");
  };
  const expireDue = (): void => {
    for (const { id, state, expireTime } of reservations.values()) {
      if (state === Reservation_State.ACTIVE && (expireTime?.getTime() ?? 0) <= world.nowMs) expire(id);
    }
  };

  const refusals = new Map<string, RpcError>();
  const shelves = { world, reservations, refusals, level, available, settle, keep, find, expire, expireDue };
  return {
    service: inventoryHandlers(shelves),
    refusals,
    stock: stock as ReadonlyMap<string, Readonly<Stock>>,
    reservations,
    stocked,
  };
}

interface Shelves {
  readonly world: World;
  readonly reservations: ReadonlyMap<string, Reservation>;
  readonly refusals: Map<string, RpcError>;
  readonly level: (sku: string) => Stock;
  readonly available: (sku: string) => bigint;
  readonly settle: (reservation: Reservation, to: "COMMITTED" | "RELEASED" | "EXPIRED") => Reservation;
  readonly keep: (reservation: Reservation) => Reservation;
  readonly find: (id: string) => Reservation;
  readonly expire: (id: string) => void;
  readonly expireDue: () => void;
}

function hold(
  { world, reservations, refusals, level, available, keep, expire, expireDue }: Shelves,
  request: RequestOf<typeof InventoryService, "createReservation">,
): { readonly reservation: Reservation } {
  const refused = refusals.get(request.requestId);
  if (refused !== undefined) throw refused;
  const { reference, lines, timeToLive } = request;
  for (const { sku } of lines) level(sku);
  // Those beyond their time give way before anybody is refused.
  if (lines.some(({ sku, quantity }) => available(sku) < quantity)) expireDue();
  const short = lines.filter(({ sku, quantity }) => available(sku) < quantity);
  if (short.length > 0) {
    const left = short.map(({ sku }) => [`available.${sku}`, String(available(sku))]);
    const refusal = fail("OUT_OF_STOCK", "too little", Object.fromEntries(left));
    // For good: who was told so counts on it, and a copy that comes late holds nothing.
    refusals.set(request.requestId, refusal);
    throw refusal;
  }
  for (const { sku, quantity } of lines) level(sku).reserved += quantity;
  const now = world.now();
  const holdMs = Number(timeToLive?.seconds ?? 0n) * 1_000;
  const reservation = keep({
    id: `res_${reservations.size + 1}`,
    reference,
    state: Reservation_State.ACTIVE,
    lines: lines.map((line) => ({ ...line, restockedQuantity: 0n })),
    expireTime: new Date(world.nowMs + holdMs),
    createTime: now,
    updateTime: now,
  });
  world.later(holdMs + world.random() * SWEEP_INTERVAL_MS, () => expire(reservation.id));
  return { reservation };
}

function inventoryHandlers(shelves: Shelves): Handlers<typeof InventoryService> {
  const { level, settle, keep, find } = shelves;
  const once = rememberAnswers();
  return {
    createReservation: (request) => once("create", request, () => hold(shelves, request)),
    commitReservation: (request) =>
      once("commit", request, () => {
        const reservation = find(request.reservationId);
        if (reservation.state === Reservation_State.RELEASED) throw fail("RESERVATION_RELEASED", "released");
        if (reservation.state === Reservation_State.EXPIRED) throw fail("RESERVATION_EXPIRED", "expired");
        const active = reservation.state === Reservation_State.ACTIVE;
        return { reservation: active ? settle(reservation, "COMMITTED") : reservation };
      }),
    releaseReservation: (request) =>
      once("release", request, () => {
        const reservation = find(request.reservationId);
        if (reservation.state === Reservation_State.COMMITTED) throw fail("RESERVATION_COMMITTED", "sold");
        const active = reservation.state === Reservation_State.ACTIVE;
        return { reservation: active ? settle(reservation, "RELEASED") : reservation };
      }),
    restockReservation: (request) =>
      once("restock", request, () => {
        const reservation = find(request.reservationId);
        if (reservation.state !== Reservation_State.COMMITTED) throw fail("RESERVATION_NOT_COMMITTED", "not sold");
        const back = new Map(request.lines.map(({ sku, quantity }) => [sku, quantity]));
        const lines = reservation.lines.map((line) => {
          const restockedQuantity = line.restockedQuantity + (back.get(line.sku) ?? 0n);
          if (restockedQuantity > line.quantity) throw fail("QUANTITY_TOO_LARGE", line.sku, { sku: line.sku });
          return { ...line, restockedQuantity };
        });
        for (const [sku, quantity] of back) level(sku).onHand += quantity;
        return { reservation: keep({ ...reservation, lines }) };
      }),
  };
}

/** Answers a request that came before as then, whatever has happened since; only successes are kept. */
export function rememberAnswers(): <Request extends { readonly requestId: string }, Response>(
  method: string,
  request: Request,
  effect: () => Response,
) => Response {
  const answers = new Map<string, { readonly request: unknown; readonly response: unknown }>();
  return <Request extends { readonly requestId: string }, Response>(
    method: string,
    request: Request,
    effect: () => Response,
  ): Response => {
    const key = `${method} ${request.requestId}`;
    const earlier = answers.get(key);
    if (earlier === undefined) {
      const response = effect();
      answers.set(key, { request, response });
      return response;
    }
    if (!isDeepStrictEqual(earlier.request, request)) throw meshFailure("REQUEST_ID_REUSED", key);
    // A key belongs to one method, and so to one type of answer.
    return earlier.response as Response;
  };
}

/** What inventory's own constraints keep, and that its books say the same as its reservations. */
export function checkInventory({ stock, reservations, stocked }: Inventory): void {
  for (const [sku, units] of stocked) {
    let reserved = 0n;
    let sold = 0n;
    for (const { state, lines } of reservations.values()) {
      for (const line of lines) {
        if (line.sku !== sku) continue;
        if (state === Reservation_State.ACTIVE) reserved += line.quantity;
        if (state === Reservation_State.COMMITTED) sold += line.quantity - line.restockedQuantity;
      }
    }
    const level = stock.get(sku);
    const available = (level?.onHand ?? 0n) - reserved;
    if (level?.reserved !== reserved || available + reserved + sold !== units || available < 0n || sold < 0n) {
      throw new Violation(
        `${sku}: ${units} stocked, ${level?.onHand} on hand, ${level?.reserved} reserved; held ${reserved}, sold ${sold}`,
      );
    }
  }
}
