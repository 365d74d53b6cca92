import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import { Movement_Kind } from "#gen/shop/inventory/v1/stock.ts";
import { newId } from "#mesh/ids.ts";
import { callersOf, startTestInventory, type TestInventory } from "./testing/inventory.ts";

let inventory: TestInventory;
beforeAll(async () => {
  inventory = await startTestInventory();
});
afterAll(() => inventory?.close());

const { orders, operator, stocked, held, commit, stockOf } = callersOf(() => inventory);

describe("adjustments", () => {
  test("are booked, and with all other movements add up to the stock", async () => {
    const sku = await stocked(7n);
    const id = await held([{ sku, quantity: 2n }]);
    await commit(id);
    await held([{ sku, quantity: 1n }]);
    const { movements } = await operator.client().listMovements({ sku, pageSize: 0, pageToken: "" }, operator.call());
    expect(movements.map(({ kind }) => kind)).toEqual([
      Movement_Kind.RESERVED,
      Movement_Kind.COMMITTED,
      Movement_Kind.RESERVED,
      Movement_Kind.ADJUSTED,
    ]);
    const sum = (key: "onHandDelta" | "reservedDelta") => movements.reduce((total, one) => total + one[key], 0n);
    expect(await stockOf(sku)).toMatchObject({ onHand: sum("onHandDelta"), reserved: sum("reservedDelta") });
  });

  test("cannot take what is held", async () => {
    const sku = await stocked(3n);
    await held([{ sku, quantity: 2n }]);
    const result = await operator
      .client()
      .try.adjustStock({ requestId: newId("req"), sku, delta: -2n, note: "lost" }, operator.call());
    expect(result).toMatchObject({
      ok: false,
      error: { code: "FAILED_PRECONDITION", reason: "STOCK_TOO_LOW", metadata: { on_hand: "3", reserved: "2" } },
    });
  });

  test("are not for shoppers", async () => {
    const client = inventory.shop.mesh("gateway").client(InventoryService);
    const request = { requestId: newId("req"), sku: "A-1", delta: 1n, note: "" };
    const denied = await client.try.adjustStock(request, inventory.shop.call({ user: { roles: ["courier"] } }));
    expect(denied).toMatchObject({ ok: false, error: { code: "PERMISSION_DENIED", reason: "NOT_ALLOWED" } });
    const nobody = await client.try.adjustStock(request, inventory.shop.call());
    expect(nobody).toMatchObject({ ok: false, error: { code: "UNAUTHENTICATED", reason: "TOKEN_MISSING" } });
    const warehouse = await client.try.adjustStock(request, inventory.shop.call({ user: { roles: ["warehouse"] } }));
    expect(warehouse.ok).toBe(true);
  });
});

test("movements come page by page, each once, and a page token is for its own list", async () => {
  const sku = await stocked(1n);
  for (let at = 0; at < 6; at += 1) {
    await operator.client().adjustStock({ requestId: newId("req"), sku, delta: 1n, note: `${at}` }, operator.call());
  }
  const notes: string[] = [];
  let pageToken = "";
  do {
    const page = await operator.client().listMovements({ sku, pageSize: 3, pageToken }, operator.call());
    notes.push(...page.movements.map(({ reference }) => reference));
    pageToken = page.nextPageToken;
    if (pageToken !== "") {
      const forged = await operator
        .client()
        .try.listMovements({ sku: "OTHER", pageSize: 3, pageToken }, operator.call());
      expect(forged).toMatchObject({ ok: false, error: { reason: "INVALID_PAGE_TOKEN" } });
    }
  } while (pageToken !== "");
  expect(notes).toHaveLength(7);
  expect(new Set(notes).size).toBe(7);
});

test("many stocks are answered in the order asked, and unknown ones are named", async () => {
  const [a, b] = [await stocked(1n), await stocked(2n)];
  const response = await operator.client().batchGetStock({ skus: [b, "GONE", a] }, operator.call());
  expect(response.stocks.map(({ sku }) => sku)).toEqual([b, a]);
  expect(response.unknownSkus).toEqual(["GONE"]);
});

test("a watcher sees the stock at once and after every change, and the watch ends with its call", async () => {
  const sku = await stocked(4n);
  const ended = new AbortController();
  const call = inventory.shop.mesh("orders").background({ name: "watch", timeoutMs: 10_000, signal: ended.signal });
  const seen: bigint[] = [];
  for await (const { stock } of orders.client().watchStock({ skus: [sku], resumeToken: "" }, call)) {
    seen.push(stock?.available ?? -1n);
    if (seen.length === 1) await held([{ sku, quantity: 1n }]);
    if (seen.length === 2) break;
  }
  expect(seen).toEqual([4n, 3n]);
  ended.abort();
});
