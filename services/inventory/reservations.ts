import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import type {
  CommitReservationRequest,
  CommitReservationResponse,
  CreateReservationRequest,
  CreateReservationResponse,
  ReleaseReservationRequest,
  ReleaseReservationResponse,
} from "#gen/shop/inventory/v1/inventory_service.ts";
import type { Reservation } from "#gen/shop/inventory/v1/stock.ts";
import { failures, meshFailure, type RpcError } from "#mesh/contract/errors.ts";
import {
  expectSameRequest,
  type Opened,
  type OwnTransaction,
  type RequestKey,
  requestIdReused,
  requestKeyOf,
  runChange,
} from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Deps } from "./deps.ts";
import { checkHold, type HoldError, planCommit, planRelease, type ReservationState } from "./domain.ts";
import { expireDue } from "./expiry.ts";
import { reservationMessage } from "./messages.ts";
import { lockStock } from "./store.ts";
import * as store from "./store-reservations.ts";

const fail = failures(InventoryService);

/** How often what is held beyond its time is given back for one request, before it is told to come again. */
const MAX_FREEING_ROUNDS = 20;
const CROWDED_RETRY_MS = 500;

/**
 * Holds all lines or none. What expired reservations still hold is freed before anybody is refused; a refusal is for good:
 * a copy of its request that comes late, when there is stock again, holds nothing for an order that is long over.
 */
export const createReservation =
  (deps: Deps) =>
  async (request: CreateReservationRequest, call: Call): Promise<CreateReservationResponse> => {
    const skus = request.lines.map((line) => line.sku);
    const key = requestKeyOf(call, request);
    for (let round = 0; round < MAX_FREEING_ROUNDS; round += 1) {
      const now = deps.clock.now();
      const held = await runChange(
        deps.db,
        call,
        (tx, opened) => holdLines(deps, tx, { request, key, opened, now }),
        store.previewStatements({ skus, key, now }),
      );
      if (held === "crowded") {
        await expireDue(deps, skus);
        continue;
      }
      if ("kind" in held) throw holdFailure(held);
      deps.changes.changed(skus);
      return { reservation: reservationMessage(held) };
    }
    throw meshFailure("OVERLOADED", "Reservations beyond their time could not be given back.", {
      retryDelayMs: CROWDED_RETRY_MS,
    });
  };

/** The reservation; or why there is none, for good; or `crowded` when others hold these SKUs beyond their time. */
async function holdLines(
  { newId }: Deps,
  tx: OwnTransaction,
  { request, key, opened, now }: HoldTask,
): Promise<store.ReservationRow | HoldError | "crowded"> {
  const { reference, lines, timeToLive } = request;
  const skus = lines.map((line) => line.sku);
  const reservation: store.ReservationRow = {
    id: newId("res"),
    reference,
    state: "ACTIVE",
    lines: lines.map((line) => ({ ...line, restockedQuantity: 0n })),
    expireTime: new Date(now.getTime() + milliseconds(timeToLive)),
    createTime: now,
    updateTime: now,
  };
  const refuse = (refusal: HoldError, expired: readonly string[]): HoldError | "crowded" => {
    if (refusal.kind === "out_of_stock" && expired.length > 0) return "crowded";
    store.insertRefusal(tx, { ...reservation, expireTime: now }, { key, refusal });
    return refusal;
  };
  // Who wants what is sold out, and there may be many, is told so before anybody's lock.
  const before = store.readPreview(opened);
  if (before.made !== undefined) return replay(tx, key, before.made);
  const soldOut = checkHold(lines, before.levels);
  if (soldOut !== undefined) return refuse(soldOut, before.expired);
  // One round trip; the key is looked for under the locks, for which copies of a request wait for each other.
  const [levels, made, expired] = await Promise.all([
    lockStock(tx, skus),
    store.findMade(tx, key),
    store.listExpired(tx, { now, limit: 1, skus }),
  ]);
  if (made !== undefined) return replay(tx, key, made);
  const refusal = checkHold(lines, levels);
  if (refusal !== undefined) return refuse(refusal, expired);
  store.insertReservation(tx, reservation, { key, movementIds: lines.map(() => newId("mov")) });
  return reservation;
}

interface HoldTask {
  readonly request: CreateReservationRequest;
  readonly key: RequestKey;
  readonly opened: Opened;
  readonly now: Date;
}

/** What a copy of a request is answered with that made a reservation before, or was refused. */
async function replay(
  tx: OwnTransaction,
  key: RequestKey,
  made: store.Made,
): Promise<store.ReservationRow | HoldError> {
  expectSameRequest(key, made);
  const refusal = store.refusalOf(made);
  if (refusal !== undefined) return refusal;
  return asMade(await store.getReservation(tx, made.id));
}

/** The reservation as it was made, whatever became of it. */
function asMade(reservation: store.ReservationRow | undefined): store.ReservationRow {
  if (reservation === undefined) throw new Error("A reservation is gone though nothing ever deletes one.");
  return { ...asSettled(reservation), state: "ACTIVE", updateTime: reservation.createTime };
}

/** The reservation as it was when it ended, whatever came back since. */
function asSettled(reservation: store.ReservationRow): store.ReservationRow {
  return { ...reservation, lines: reservation.lines.map((line) => ({ ...line, restockedQuantity: 0n })) };
}

/** Sells what is held. */
export const commitReservation =
  (deps: Deps) =>
  async (request: CommitReservationRequest, call: Call): Promise<CommitReservationResponse> => ({
    reservation: await settle(deps, request, call, "COMMITTED"),
  });

/** Gives back what is held. */
export const releaseReservation =
  (deps: Deps) =>
  async (request: ReleaseReservationRequest, call: Call): Promise<ReleaseReservationResponse> => ({
    reservation: await settle(deps, request, call, "RELEASED"),
  });

async function settle(
  { db, clock, newId, changes }: Deps,
  request: CommitReservationRequest | ReleaseReservationRequest,
  call: Call,
  to: "COMMITTED" | "RELEASED",
): Promise<Reservation> {
  const key = requestKeyOf(call, request);
  const reservation = await runChange(db, call, async (tx) => {
    const [row, settledId] = await Promise.all([
      store.lockReservation(tx, request.reservationId),
      store.findSettled(tx, key, to),
    ]);
    if (settledId !== undefined && settledId !== request.reservationId) throw requestIdReused(key.requestId);
    if (row === undefined) throw fail("RESERVATION_NOT_FOUND", "There is no such reservation.");
    if (settledId !== undefined) return asSettled(row);
    const settlement = to === "COMMITTED" ? planCommit(row.state) : planRelease(row.state);
    if (settlement.kind === "refuse") throw refusal(settlement.because);
    if (settlement.kind === "unchanged") return asSettled(row);
    const now = clock.now();
    store.settleReservation(tx, { reservation: row, to, key, movementIds: row.lines.map(() => newId("mov")), now });
    return { ...row, state: to, updateTime: now };
  });
  changes.changed(reservation.lines.map((line) => line.sku));
  return reservationMessage(reservation);
}

function holdFailure(error: HoldError): RpcError {
  switch (error.kind) {
    case "unknown_sku":
      return fail("UNKNOWN_SKU", `No stock is kept of ${error.sku}.`, {
        sku: error.sku,
      });
    case "out_of_stock": {
      const left = error.shortages.map(({ sku, available }) => `${available} of ${sku}`).join(", ");
      return fail(
        "OUT_OF_STOCK",
        `There is not enough in stock: only ${left} can be had.`,
        Object.fromEntries(error.shortages.map(({ sku, available }) => [`available.${sku}`, String(available)])),
      );
    }
  }
}

function refusal(because: Exclude<ReservationState, "ACTIVE">): RpcError {
  switch (because) {
    case "COMMITTED":
      return fail("RESERVATION_COMMITTED", "The reservation was committed before: its units are sold.");
    case "RELEASED":
      return fail("RESERVATION_RELEASED", "The reservation was released before.");
    case "EXPIRED":
      return fail("RESERVATION_EXPIRED", "The reservation's time ran out, and its units went back.");
  }
}

/** A duration of the contract in milliseconds; the contract requires one. */
function milliseconds(duration: CreateReservationRequest["timeToLive"]): number {
  if (duration === undefined) throw new TypeError("a reservation without time_to_live passed validation");
  return Number(duration.seconds) * 1_000 + Math.trunc(duration.nanos / 1_000_000);
}
