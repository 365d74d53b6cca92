import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Reservation_State } from "#gen/shop/inventory/v1/stock.ts";
import { expireDue } from "./expiry.ts";
import { callersOf, startTestInventory, type TestInventory } from "./testing/inventory.ts";

let inventory: TestInventory;
beforeAll(async () => {
  inventory = await startTestInventory();
});
afterAll(() => inventory?.close());

const { stocked, hold, held, commit, release, stockOf, reservation } = callersOf(() => inventory);

describe("reservations", () => {
  test("hold units, and sell them when they are committed", async () => {
    const sku = await stocked(5n);
    const id = await held([{ sku, quantity: 3n }]);
    expect(await stockOf(sku)).toEqual({ onHand: 5n, reserved: 3n, available: 2n });
    expect(await commit(id)).toMatchObject({
      ok: true,
      value: { reservation: { state: Reservation_State.COMMITTED } },
    });
    expect(await stockOf(sku)).toEqual({ onHand: 2n, reserved: 0n, available: 2n });
    expect(await release(id)).toMatchObject({ ok: false, error: { reason: "RESERVATION_COMMITTED" } });
  });

  test("give units back when they are released, once", async () => {
    const sku = await stocked(5n);
    const id = await held([{ sku, quantity: 3n }]);
    expect(await release(id)).toMatchObject({ ok: true });
    expect(await release(id)).toMatchObject({ ok: true });
    expect(await stockOf(sku)).toEqual({ onHand: 5n, reserved: 0n, available: 5n });
    expect(await commit(id)).toMatchObject({ ok: false, error: { reason: "RESERVATION_RELEASED" } });
  });

  test("hold nothing when one line is short, and name what is left of every short one", async () => {
    const [plenty, scarce, none] = [await stocked(9n), await stocked(2n), await stocked(1n)];
    await held([{ sku: none, quantity: 1n }]);
    const result = await hold([
      { sku: plenty, quantity: 1n },
      { sku: scarce, quantity: 3n },
      { sku: none, quantity: 1n },
    ]);
    expect(result).toMatchObject({
      ok: false,
      error: {
        code: "FAILED_PRECONDITION",
        reason: "OUT_OF_STOCK",
        metadata: { [`available.${scarce}`]: "2", [`available.${none}`]: "0" },
      },
    });
    expect(await stockOf(plenty)).toEqual({ onHand: 9n, reserved: 0n, available: 9n });
  });

  test("refuse a SKU of which no stock is kept", async () => {
    const result = await hold([{ sku: "NOBODY-KNOWS", quantity: 1n }]);
    expect(result).toMatchObject({ ok: false, error: { code: "NOT_FOUND", reason: "UNKNOWN_SKU" } });
  });

  test("refuse a SKU twice, and a quantity of nothing, naming the fields", async () => {
    const twice = await hold([
      { sku: "A", quantity: 1n },
      { sku: "A", quantity: 0n },
    ]);
    if (twice.ok) throw new Error("it was admitted");
    expect(twice.error.reason).toBe("INVALID_REQUEST");
    expect(twice.error.violations.map(({ field }) => field).sort()).toEqual(["lines", "lines[1].quantity"]);
  });

  test("that expired give way to whoever wants their units", async () => {
    const sku = await stocked(1n);
    const first = await held([{ sku, quantity: 1n }], 30n);
    expect((await hold([{ sku, quantity: 1n }])).ok).toBe(false);
    inventory.clock.advance(30_000);
    await held([{ sku, quantity: 1n }]);
    expect(await stockOf(sku)).toEqual({ onHand: 1n, reserved: 1n, available: 0n });
    expect(await commit(first)).toMatchObject({ ok: false, error: { reason: "RESERVATION_EXPIRED" } });
    expect((await reservation(first)).state).toBe(Reservation_State.EXPIRED);
  });

  test("that are being swept by two at once go back once", async () => {
    const sku = await stocked(10n);
    for (let at = 0; at < 5; at += 1) await held([{ sku, quantity: 2n }], 1n);
    inventory.clock.advance(1_000);
    const { deps } = inventory;
    await Promise.all([expireDue(deps), expireDue(deps), expireDue(deps, [sku])]);
    expect(await stockOf(sku)).toEqual({ onHand: 10n, reserved: 0n, available: 10n });
  });
});
