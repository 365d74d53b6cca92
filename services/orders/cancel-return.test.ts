import { describe, expect, it } from "vitest";
import { Return_State } from "#gen/shop/orders/v1/order.ts";
import { newId } from "#mesh/ids.ts";
import { MAX_GIVEN_BACK } from "./domain-saga.ts";
import { paidOrder, returnIdOf, unfetched } from "./testing/paid-order.ts";
import { shopForEachTest } from "./testing/setup.ts";
import { newBuyer } from "./testing/shop.ts";

const test = shopForEachTest();

const reasonOf = (result: PromiseSettledResult<unknown>) =>
  result.status === "fulfilled" ? "done" : result.reason.reason;

describe("a return that is withdrawn", () => {
  it("frees its units and its money, and the order can be cancelled again", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 1n });
    const announced = await paid.announce({ "SKU-1": 1n });
    const returnId = returnIdOf(announced);
    await expect(paid.cancel()).rejects.toMatchObject({ reason: "STATE_CONFLICT" });
    const withdrawn = unfetched(await paid.withdraw(returnId, "lost on the way"));
    const { updateTime } = withdrawn;
    expect(withdrawn).toEqual({ ...unfetched(announced), state: Return_State.CANCELLED, updateTime });
    const order = await paid.atRest();
    expect(order).toMatchObject({ state: "PAID", promised: 0n, announced: 0, withdrawn: 1, dues: 0 });
    expect(order.lines[0]).toMatchObject({ announcedQuantity: 0n, returnedQuantity: 0n });
    const { note, actor } = order.history.at(-1) ?? {};
    expect([note, actor]).toEqual([`return withdrawn: ${returnId}: lost on the way`, order.customerId]);
    const listing = { orderId: paid.id, state: Return_State.CANCELLED, pageSize: 0, pageToken: "" };
    const { returns } = await test.shop.orders.listReturns(listing, paid.call);
    expect(returns.map((orderReturn) => unfetched({ orderReturn }))).toEqual([withdrawn]);

    await paid.withdraw(returnIdOf(await paid.announce({ "SKU-1": 1n })));
    await paid.cancel();
    expect(await paid.atRest()).toMatchObject({ state: "CANCELLED", refunded: 1_490n });
    expect(test.shop.inventory.available.get("SKU-1")).toBe(10n);
  });

  it("stays withdrawn, whoever asks again; and its goods are not received", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 2n });
    const returnId = returnIdOf(await paid.announce({ "SKU-1": 1n }));
    const copies = await Promise.all(Array.from({ length: 10 }, () => paid.withdraw(returnId)));
    await test.db.query("delete from once_requests");
    for (const copy of copies) expect(unfetched(copy)).toEqual(unfetched(await paid.withdraw(returnId)));
    const conflict = { code: "FAILED_PRECONDITION", reason: "STATE_CONFLICT", metadata: { state: "CANCELLED" } };
    await expect(paid.receive(returnId)).rejects.toMatchObject(conflict);
    expect(await paid.atRest()).toMatchObject({ withdrawn: 1, dues: 0, refunded: 0n });
  });

  it("is not one whose goods are here, or whose money is given back", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 1n });
    const returnId = returnIdOf(await paid.announce({ "SKU-1": 1n }));
    await paid.receive(returnId);
    await expect(paid.withdraw(returnId)).rejects.toMatchObject({ reason: "STATE_CONFLICT" });
    await paid.atRest();
    const conflict = { code: "FAILED_PRECONDITION", reason: "STATE_CONFLICT", metadata: { state: "REFUNDED" } };
    await expect(paid.withdraw(returnId)).rejects.toMatchObject(conflict);
    expect(await paid.atRest()).toMatchObject({ refunded: 1_000n, withdrawn: 0 });
  });

  it.each([1, 2, 3])("is withdrawn, or received, when both come at once: never both (round %i)", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 1n });
    const returnId = returnIdOf(await paid.announce({ "SKU-1": 1n }));
    const [withdrawn, received] = await Promise.allSettled([paid.withdraw(returnId), paid.receive(returnId)]);
    expect([reasonOf(withdrawn), reasonOf(received)].sort()).toEqual(["STATE_CONFLICT", "done"]);
    const gone = withdrawn.status === "fulfilled";
    expect(await paid.atRest()).toMatchObject({ refunded: gone ? 0n : 1_000n, promised: 0n, withdrawn: gone ? 1 : 0 });
    expect(test.shop.inventory.available.get("SKU-1")).toBe(gone ? 9n : 10n);
  });

  it("is its buyer's to withdraw, and the staff's; for anybody else there is none", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 2n });
    const returnId = returnIdOf(await paid.announce({ "SKU-1": 1n }));
    const withdraw = (call: typeof paid.call, id = returnId) =>
      test.shop.orders.cancelReturn({ requestId: newId("req"), returnId: id, note: "" }, call);
    const none = { code: "NOT_FOUND", reason: "RETURN_NOT_FOUND" };
    await expect(withdraw(test.shop.mesh.call({ user: newBuyer() }))).rejects.toMatchObject(none);
    await expect(withdraw(paid.call, "ret_unknown")).rejects.toMatchObject(none);
    await expect(withdraw(paid.warehouse)).rejects.toMatchObject(none);
    expect(await paid.atRest()).toMatchObject({ announced: 1, withdrawn: 0 });
    await withdraw(paid.support);
    await withdraw(paid.support);
    const order = await paid.atRest();
    expect(order).toMatchObject({ announced: 0, withdrawn: 1 });
    expect(order.history.at(-1)?.actor).toBe("usr_support");
  });

  it("goes on counting among the returns and refunds of its order", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 1n });
    // As if so many had been withdrawn.
    await test.db.query("update orders set withdrawn = $1", [MAX_GIVEN_BACK - 1]);
    await paid.withdraw(returnIdOf(await paid.announce({ "SKU-1": 1n })));
    await expect(paid.announce({ "SKU-1": 1n })).rejects.toMatchObject({ reason: "STATE_CONFLICT" });
    await expect(paid.refund(1n)).rejects.toMatchObject({ reason: "STATE_CONFLICT" });
    await paid.cancel();
    expect(await paid.atRest()).toMatchObject({ state: "CANCELLED", refunded: 1_490n });
  });
});
