import { describe, expect, it } from "vitest";
import type { Call } from "#mesh/rpc/call.ts";
import { paidOrder } from "./testing/paid-order.ts";
import { orderOf, shopForEachTest } from "./testing/setup.ts";

const test = shopForEachTest();

interface Seen {
  /** How many entries the history had: the version. */
  readonly version: number;
  readonly note: string | undefined;
  readonly token: string;
}

/** Watches until so many messages have come, or the stream ends. */
async function watched(orderId: string, call: Call, { count = Number.POSITIVE_INFINITY, resumeToken = "" } = {}) {
  const seen: Seen[] = [];
  for await (const answer of test.shop.orders.watchOrder({ orderId, resumeToken }, call)) {
    const { history } = orderOf(answer);
    seen.push({ version: history.length, note: history.at(-1)?.note, token: answer.resumeToken });
    if (seen.length === count) break;
  }
  return seen;
}

describe("a watch that goes on after a break", () => {
  it("leaves nothing out, wherever it broke", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 1n });
    const [first] = await watched(paid.id, paid.call, { count: 1 });
    for (let n = 0; n < 3; n += 1) await paid.refund(100n);
    const order = await paid.atRest();
    const notes = order.history.map(({ note }) => note);
    expect(order.version).toBeGreaterThan((first?.version ?? 0) + 3);
    let resumeToken = first?.token ?? "";
    const seen = [];
    for (let version = first?.version ?? 0; version < order.version; version += 2) {
      // It breaks after two messages each time, or at the end.
      const count = Math.min(2, order.version - version);
      const part = await watched(paid.id, paid.call, { count, resumeToken });
      resumeToken = part.at(-1)?.token ?? "";
      seen.push(...part);
    }
    expect(seen.map(({ version, note }) => [version, note])).toEqual(
      notes.map((note, at) => [at + 1, note]).slice(first?.version),
    );
  });

  it("ends at once when the final state was the last that was seen", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 1n });
    await paid.cancel();
    const [only] = await test.shop
      .until(paid.id, ({ state }) => state === "CANCELLED")
      .then(() => watched(paid.id, paid.call));
    expect(await watched(paid.id, paid.call, { resumeToken: only?.token })).toEqual([]);
  });

  it("wants a token of the same order, of a time that has been", async () => {
    const [one, other] = [await paidOrder(test.shop, { "SKU-1": 1n }), await paidOrder(test.shop, { "SKU-1": 1n })];
    const [seen] = await watched(one.id, one.call, { count: 1 });
    const invalid = { code: "INVALID_ARGUMENT", reason: "RESUME_TOKEN_INVALID" };
    const resume = (id: string, call: Call, resumeToken = "") => watched(id, call, { count: 1, resumeToken });
    await expect(resume(other.id, other.call, seen?.token)).rejects.toMatchObject(invalid);
    await expect(resume(one.id, one.call, "garbage")).rejects.toMatchObject(invalid);
    await test.db.query("update orders set version = version - 1 where id = $1", [one.id]);
    await expect(resume(one.id, one.call, seen?.token)).rejects.toMatchObject(invalid);
    // Somebody else's order is not found, whatever the token.
    await expect(resume(one.id, other.call, seen?.token)).rejects.toMatchObject({ reason: "ORDER_NOT_FOUND" });
  });
});

it("a watch ends with UNAVAILABLE when its instance leaves, so that nobody takes it for the order's end", async () => {
  const paid = await paidOrder(test.shop, { "SKU-1": 1n });
  const stream = test.shop.orders.watchOrder({ orderId: paid.id, resumeToken: "" }, paid.call)[Symbol.asyncIterator]();
  await stream.next();
  const end = stream.next();
  await test.shop.closeOrders();
  await expect(end).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "SERVICE_UNAVAILABLE" });
});
