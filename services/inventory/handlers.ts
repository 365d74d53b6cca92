import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import type {
  AdjustStockRequest,
  AdjustStockResponse,
  BatchGetStockRequest,
  BatchGetStockResponse,
  GetReservationRequest,
  GetReservationResponse,
  GetStockRequest,
  GetStockResponse,
  ListMovementsRequest,
  ListMovementsResponse,
  WatchStockRequest,
  WatchStockResponse,
} from "#gen/shop/inventory/v1/inventory_service.ts";
import type { Handlers } from "#mesh/contract/contract.ts";
import { failures } from "#mesh/contract/errors.ts";
import { once } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { decodeIdToken, pageById } from "#mesh/rpc/page-token.ts";
import { encodeResumeToken, versionsSeen, watchInterrupted } from "#mesh/rpc/resume-token.ts";
import type { Deps } from "./deps.ts";
import { adjust } from "./domain.ts";
import { movementMessage, reservationMessage, stockMessage } from "./messages.ts";
import { commitReservation, createReservation, releaseReservation } from "./reservations.ts";
import { restockReservation } from "./restock.ts";
import * as store from "./store.ts";
import * as reservationStore from "./store-reservations.ts";

const fail = failures(InventoryService);

const MOVEMENTS_PAGE_SIZE = 50;

/** The handlers of `shop.inventory.v1.InventoryService`. */
export function inventoryHandlers(deps: Deps): Handlers<typeof InventoryService> {
  return {
    getStock: getStock(deps),
    batchGetStock: batchGetStock(deps),
    adjustStock: adjustStock(deps),
    createReservation: createReservation(deps),
    getReservation: getReservation(deps),
    commitReservation: commitReservation(deps),
    releaseReservation: releaseReservation(deps),
    restockReservation: restockReservation(deps),
    listMovements: listMovements(deps),
    watchStock: watchStock(deps),
  };
}

const getStock =
  ({ db }: Deps) =>
  async ({ sku }: GetStockRequest): Promise<GetStockResponse> => {
    const [row] = await store.getStock(db, [sku]);
    if (row === undefined) throw fail("UNKNOWN_SKU", `No stock is kept of ${sku}.`, { sku });
    return { stock: stockMessage(row) };
  };

const batchGetStock =
  ({ db }: Deps) =>
  async ({ skus }: BatchGetStockRequest): Promise<BatchGetStockResponse> => {
    const rows = new Map((await store.getStock(db, skus)).map((row) => [row.sku, row]));
    return {
      stocks: skus.flatMap((sku) => {
        const row = rows.get(sku);
        return row === undefined ? [] : [stockMessage(row)];
      }),
      unknownSkus: skus.filter((sku) => !rows.has(sku)),
    };
  };

const adjustStock =
  ({ db, clock, newId, changes }: Deps) =>
  async (request: AdjustStockRequest, call: Call): Promise<AdjustStockResponse> => {
    const { sku, delta, note } = request;
    const response = await once(db, call, request, clock, async (tx): Promise<AdjustStockResponse> => {
      const now = clock.now();
      await store.ensureStock(tx, sku, now);
      const level = (await store.lockStock(tx, [sku])).get(sku);
      if (level === undefined) throw new Error(`The stock of ${sku} is gone though nothing ever deletes one.`);
      const adjusted = adjust(level, delta);
      if ("kind" in adjusted) {
        const { onHand, reserved } = adjusted.level;
        throw fail("STOCK_TOO_LOW", `There are ${onHand} of ${sku}, of which ${reserved} are held.`, {
          on_hand: String(onHand),
          reserved: String(reserved),
        });
      }
      await store.adjustStock(tx, {
        sku,
        delta,
        note,
        movementId: newId("mov"),
        now,
      });
      return {
        stock: stockMessage({ ...level, ...adjusted, updateTime: now }),
      };
    });
    changes.changed([sku]);
    return response;
  };

const getReservation =
  ({ db }: Deps) =>
  async ({ reservationId }: GetReservationRequest): Promise<GetReservationResponse> => {
    const row = await reservationStore.getReservation(db, reservationId);
    if (row === undefined) throw fail("RESERVATION_NOT_FOUND", "There is no such reservation.");
    return { reservation: reservationMessage(row) };
  };

const listMovements =
  ({ db }: Deps) =>
  async ({ sku, pageSize, pageToken }: ListMovementsRequest): Promise<ListMovementsResponse> => {
    const filter = { sku };
    const beforeId = decodeIdToken(filter, pageToken, "mov");
    const limit = pageSize === 0 ? MOVEMENTS_PAGE_SIZE : pageSize;
    const found = await store.listMovements(db, { sku, beforeId, limit: limit + 1 });
    const { items, nextPageToken } = pageById(found, { limit, filter });
    return { movements: items.map(movementMessage), nextPageToken };
  };

const watchStock = ({ db, changes }: Deps) =>
  async function* ({ skus, resumeToken }: WatchStockRequest, call: Call): AsyncGenerator<WatchStockResponse> {
    const watch = changes.watchAll(skus);
    try {
      const rows = new Map((await store.getStock(db, skus)).map((row) => [row.sku, row]));
      const seen = versionsSeen(
        { watch: skus, token: resumeToken, invalid: invalidToken },
        skus.map((sku) => rows.get(sku)?.version ?? 0),
      );
      const known = new Map(skus.map((sku, at) => [sku, seen[at] ?? 0]));
      const tell = (row: store.StockRow): WatchStockResponse => {
        known.set(row.sku, row.version);
        return { stock: stockMessage(row), resumeToken: encodeResumeToken(skus, [...known.values()]) };
      };
      for (const row of rows.values()) if (row.version > (known.get(row.sku) ?? 0)) yield tell(row);
      for (;;) {
        const row = await watch.next(known, call.signal);
        if (row === undefined) throw watchInterrupted(InventoryService.name);
        yield tell(row);
      }
    } finally {
      watch.close();
    }
  };

function invalidToken(cause?: unknown): Error {
  return fail("RESUME_TOKEN_INVALID", "The token is not one that a watch of these SKUs gave.", {}, { cause });
}
