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
import { failures, isReason, type RpcError } from "#mesh/contract/errors.ts";
import { once, type Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Deps } from "./deps.ts";
import {
  checkHold,
  type HoldError,
  planCommit,
  planRelease,
  type ReservationState,
  type Settlement,
} from "./domain.ts";
import { expireDue } from "./expiry.ts";
import { reservationMessage } from "./messages.ts";
import * as store from "./store.ts";

const fail = failures(InventoryService);

/** Holds all lines or none. What expired reservations still hold is freed before anybody is refused. */
export const createReservation =
  (deps: Deps) =>
  async (request: CreateReservationRequest, call: Call): Promise<CreateReservationResponse> => {
    const skus = request.lines.map((line) => line.sku);
    const hold = (): Promise<CreateReservationResponse> =>
      once(deps.db, call, request, deps.clock, (tx) => holdLines(deps, tx, request));
    const response = await holdOrFree(deps, call, skus, hold);
    deps.watch.changed(skus);
    return response;
  };

/** Holds; and as long as that fails, and others hold these SKUs beyond their time, gives those back and tries again. */
async function holdOrFree<T>(deps: Deps, call: Call, skus: readonly string[], hold: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await hold();
    } catch (error) {
      if (!isReason(error, "OUT_OF_STOCK") || (await expireDue(deps, skus)) === 0) throw error;
      call.signal.throwIfAborted();
    }
  }
}

async function holdLines(
  { clock, newId }: Deps,
  tx: Transaction,
  { reference, lines, timeToLive }: CreateReservationRequest,
): Promise<CreateReservationResponse> {
  const levels = await store.lockStock(
    tx,
    lines.map((line) => line.sku),
  );
  const refusal = checkHold(lines, levels);
  if (refusal !== undefined) throw holdFailure(refusal);
  const now = clock.now();
  const reservation: store.ReservationRow = {
    id: newId("res"),
    reference,
    state: "ACTIVE",
    lines: lines.map((line) => ({ ...line, restockedQuantity: 0n })),
    expireTime: new Date(now.getTime() + milliseconds(timeToLive)),
    createTime: now,
    updateTime: now,
  };
  await store.insertReservation(
    tx,
    reservation,
    lines.map(() => newId("mov")),
  );
  return { reservation: reservationMessage(reservation) };
}

/** Sells what is held. */
export const commitReservation =
  (deps: Deps) =>
  async (request: CommitReservationRequest, call: Call): Promise<CommitReservationResponse> => ({
    reservation: await settle(deps, request, call, planCommit),
  });

/** Gives back what is held. */
export const releaseReservation =
  (deps: Deps) =>
  async (request: ReleaseReservationRequest, call: Call): Promise<ReleaseReservationResponse> => ({
    reservation: await settle(deps, request, call, planRelease),
  });

async function settle(
  deps: Deps,
  request: { readonly requestId: string; readonly reservationId: string },
  call: Call,
  plan: (state: ReservationState) => Settlement,
): Promise<Reservation | undefined> {
  const { db, clock, newId, watch } = deps;
  const { reservation } = await once(db, call, request, clock, async (tx): Promise<CommitReservationResponse> => {
    const row = await store.lockReservation(tx, request.reservationId);
    if (row === undefined) throw fail("RESERVATION_NOT_FOUND", "There is no such reservation.");
    const settlement = plan(row.state);
    if (settlement.kind === "refuse") throw refusal(settlement.because);
    if (settlement.kind === "unchanged") return { reservation: reservationMessage(row) };
    const now = clock.now();
    const movementIds = row.lines.map(() => newId("mov"));
    await store.settleReservation(tx, {
      reservation: row,
      to: settlement.to,
      movementIds,
      now,
    });
    return {
      reservation: reservationMessage({
        ...row,
        state: settlement.to,
        updateTime: now,
      }),
    };
  });
  watch.changed(reservation?.lines.map((line) => line.sku) ?? []);
  return reservation;
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
