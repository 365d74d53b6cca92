import { describe, expect, it } from "vitest";
import { Order_State } from "#gen/shop/orders/v1/order.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { MAX_DUE } from "./domain-saga.ts";
import { paidOrder, returnIdOf } from "./testing/paid-order.ts";
import { orderOf, shopForEachTest } from "./testing/setup.ts";
import { gate } from "./testing/shop.ts";

const test = shopForEachTest();

const expireLeases = () =>
  test.db.query("update orders set lease_until = now() - interval '1 second' where lease_until is not null");

const reasonOf = (result: PromiseSettledResult<unknown>) =>
  result.status === "fulfilled" ? "done" : result.reason.reason;

describe("a return that meets a cancellation", () => {
  it.each([1, 2])("is announced, or the order is cancelled: never both (round %i)", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 1n });
    const [announced, cancelled] = await Promise.allSettled([paid.announce({ "SKU-1": 1n }), paid.cancel()]);
    expect([reasonOf(announced), reasonOf(cancelled)].sort()).toEqual(["STATE_CONFLICT", "done"]);
    const order = await paid.atRest();
    if (cancelled.status === "fulfilled") {
      expect(order).toMatchObject({ state: "CANCELLED", refunded: 1_490n, announced: 0 });
      expect(test.shop.inventory.available.get("SKU-1")).toBe(10n);
    } else {
      expect(order).toMatchObject({ state: "PAID", refunded: 0n, announced: 1, promised: 1_000n });
      expect(test.shop.inventory.available.get("SKU-1")).toBe(9n);
    }
  });

  it.each([
    ["announced", async (paid, _returnId) => paid.announce({ "SKU-1": 1n })],
    ["received", async (paid, returnId) => paid.receive(returnId)],
    ["refunded", async (paid, _returnId) => paid.refund(1n)],
  ] as const satisfies readonly (readonly [
    string,
    (paid: Awaited<ReturnType<typeof paidOrder>>, returnId: string) => Promise<unknown>,
  ])[])("keeps an order from being cancelled that has something %s", async (_what, act) => {
    const paid = await paidOrder(test.shop, { "SKU-1": 2n });
    const returnId = returnIdOf(await paid.announce({ "SKU-1": 1n }));
    const [acted, cancelled] = await Promise.allSettled([act(paid, returnId), paid.cancel()]);
    expect([reasonOf(acted), reasonOf(cancelled)]).toEqual(["done", "STATE_CONFLICT"]);
    expect((await paid.atRest()).state).toBe("PAID");
  });
});

describe("what is due", () => {
  it.each([
    ["before", "InventoryService.restockReservation"],
    ["after", "InventoryService.restockReservation"],
    ["before", "PaymentService.createRefund"],
    ["after", "PaymentService.createRefund"],
  ] as const)("has one effect when a process stops %s %s took effect, and wakes up late", async (phase, method) => {
    const paid = await paidOrder(test.shop, { "SKU-1": 2n });
    const returnId = returnIdOf(await paid.announce({ "SKU-1": 1n }));
    const reached = gate();
    const held = gate();
    let calls = 0;
    test.shop.interference[phase] = async (called) => {
      if (called !== method) return;
      calls += 1;
      if (calls > 1) return;
      reached.open();
      await held.opened;
    };
    await paid.receive(returnId);
    await reached.opened;
    await expireLeases();
    const ended = await paid.atRest();
    expect(ended).toMatchObject({ refunded: 1_000n, due: [] });
    held.open();
    await test.shop.closeOrders();
    expect(await paid.atRest()).toEqual(ended);
    expect(test.shop.inventory.available.get("SKU-1")).toBe(9n);
    expect([...test.shop.payments.refunds.values()]).toEqual([1_000n]);
  });

  it("is worked off once when every answer is lost at first", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 2n });
    const lost = new Map<string, number>();
    test.shop.interference.after = (method) => {
      const times = (lost.get(method) ?? 0) + 1;
      lost.set(method, times);
      // The mesh itself asks three times.
      if (times <= 4) throw meshFailure("SERVICE_UNAVAILABLE", "the answer is lost");
    };
    await paid.receive(returnIdOf(await paid.announce({ "SKU-1": 1n })));
    expect(await paid.atRest()).toMatchObject({ refunded: 1_000n });
    expect(lost.get("PaymentService.createRefund")).toBeGreaterThan(4);
    expect([...test.shop.payments.refunds.values()]).toEqual([1_000n]);
    expect(test.shop.inventory.available.get("SKU-1")).toBe(9n);
  });

  it("is not lost when it becomes due while the last one is just being worked off", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 3n });
    const ids = [];
    for (let n = 0; n < 3; n += 1) ids.push(returnIdOf(await paid.announce({ "SKU-1": 1n })));
    const reached = gate();
    const held = gate();
    test.shop.interference.after = async (method) => {
      if (method !== "PaymentService.createRefund") return;
      reached.open();
      await held.opened;
    };
    await paid.receive(ids[0] ?? "");
    await reached.opened;
    await Promise.all([paid.receive(ids[1] ?? ""), paid.receive(ids[2] ?? ""), paid.refund(490n)]);
    held.open();
    const order = await paid.atRest();
    expect(order).toMatchObject({ refunded: 3_490n, promised: 0n, announced: 0, dues: 4 });
    expect([...test.shop.payments.refunds.values()].sort()).toEqual([1_000n, 1_000n, 1_000n, 490n].sort());
  });

  it("is bounded: what is too much is refused until something was worked off", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 1n });
    const held = gate();
    test.shop.interference.before = async (method) => {
      if (method === "PaymentService.createRefund") await held.opened;
    };
    await Promise.all(Array.from({ length: MAX_DUE }, () => paid.refund(1n)));
    await expect(paid.refund(1n)).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED", reason: "OVERLOADED" });
    const returnId = returnIdOf(await paid.announce({ "SKU-1": 1n }));
    await expect(paid.receive(returnId)).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED", reason: "OVERLOADED" });
    held.open();
    await paid.atRest();
    await paid.receive(returnId);
    expect(await paid.atRest()).toMatchObject({ refunded: BigInt(MAX_DUE) + 1_000n, due: [] });
  });

  it("is worked off once by several processes at the same time, for many orders", async () => {
    const others = [test.shop.startAnother(), test.shop.startAnother()];
    test.shop.inventory.available.set("SKU-1", 1_000n);
    const orders = await Promise.all(Array.from({ length: 8 }, () => paidOrder(test.shop, { "SKU-1": 2n })));
    await Promise.all(
      orders.map(async (paid) => {
        const announced = await Promise.all([paid.announce({ "SKU-1": 1n }), paid.announce({ "SKU-1": 1n })]);
        await Promise.all([...announced.map((one) => paid.receive(returnIdOf(one))), paid.refund(490n)]);
        await expireLeases();
      }),
    );
    for (const paid of orders) expect(await paid.atRest()).toMatchObject({ state: "PAID", refunded: 2_490n });
    await Promise.all(others.map((other) => other.close()));
    expect(test.shop.payments.refunds.size).toBe(24);
    expect(test.shop.inventory.available.get("SKU-1")).toBe(1_000n);
  });

  it("is seen by whoever watches the order, though its state stays", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 1n });
    const watched = test.shop.orders
      .watchOrder({ orderId: paid.id, resumeToken: "" }, paid.call)
      [Symbol.asyncIterator]();
    await watched.next();
    await paid.refund(490n);
    const seen = [];
    for (let n = 0; n < 2; n += 1) {
      const { value } = await watched.next();
      const { state, history, refunded } = orderOf(value ?? { order: undefined });
      seen.push([state, history.at(-1)?.note, refunded?.minorUnits]);
    }
    await watched.return?.();
    expect(seen).toEqual([
      [Order_State.PAID, "refund promised: late", expect.anything()],
      [Order_State.PAID, "money given back", 490n],
    ]);
  });
});
