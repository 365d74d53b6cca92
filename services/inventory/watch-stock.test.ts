import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { callersOf, startTestInventory, type TestInventory } from "./testing/inventory.ts";

let inventory: TestInventory;
beforeAll(async () => {
  inventory = await startTestInventory();
});
afterAll(() => inventory?.close());
const { orders, stocked, held } = callersOf(() => inventory);

/** Watches until so many messages have come; what they said, and the token of the last. */
async function watched(skus: readonly string[], count: number, resumeToken = "") {
  const seen: (readonly [string | undefined, bigint | undefined])[] = [];
  let last = "";
  for await (const { stock, resumeToken: token } of orders
    .client()
    .watchStock({ skus: [...skus], resumeToken }, orders.call())) {
    seen.push([stock?.sku, stock?.available]);
    last = token;
    if (seen.length === count) break;
  }
  return { seen, token: last };
}

describe("a watch that goes on after a break", () => {
  test("begins with the stocks that changed meanwhile, each as it is now, and with no other", async () => {
    const [a, b, c] = [await stocked(5n), await stocked(5n), await stocked(5n)];
    const { token } = await watched([a, b, c], 3);
    await held([{ sku: b, quantity: 1n }]);
    await held([{ sku: b, quantity: 1n }]);
    const resumed = await watched([a, b, c], 1, token);
    expect(resumed.seen).toEqual([[b, 3n]]);
    // Nothing changed since, so the first message is that of the next change.
    const next = watched([a, b, c], 1, resumed.token);
    await held([{ sku: c, quantity: 2n }]);
    expect((await next).seen).toEqual([[c, 3n]]);
  });

  test("has those that it was not told of before the break, and a SKU of which stock is kept since", async () => {
    const [a, b] = [await stocked(1n), await stocked(2n)];
    const { seen, token } = await watched([a, b, "LATER-1"], 1);
    const { client, call } = { client: orders.client(), call: orders.call() };
    const rest = [a, b].filter((sku) => sku !== seen[0]?.[0]);
    expect((await watched([a, b, "LATER-1"], 1, token)).seen.map(([sku]) => sku)).toEqual(rest);
    await inventory.db.query("insert into stock (sku, on_hand, update_time) values ('LATER-1', 7, now())");
    const later = await watched([a, b, "LATER-1"], 2, token);
    expect(later.seen.map(([sku]) => sku).toSorted()).toEqual([...rest, "LATER-1"].toSorted());
    expect((await client.getStock({ sku: "LATER-1" }, call)).stock?.available).toBe(7n);
  });

  test("wants a token of the same SKUs, of a time that has been", async () => {
    const [a, b] = [await stocked(1n), await stocked(1n)];
    const { token } = await watched([a, b], 2);
    const invalid = { code: "INVALID_ARGUMENT", reason: "RESUME_TOKEN_INVALID" };
    for (const [skus, wrong] of [
      [[b, a], token],
      [[a], token],
      [[a, b], "garbage"],
      [[a, b], Buffer.from(token, "base64url").toString("base64url").slice(0, -2)],
    ] as const) {
      await expect(watched(skus, 1, wrong)).rejects.toMatchObject(invalid);
    }
    await inventory.db.query("delete from movements where sku = $1", [a]);
    await inventory.db.query("delete from stock where sku = $1", [a]);
    await expect(watched([a, b], 1, token)).rejects.toMatchObject(invalid);
  });
});

test("a change that another release wrote, which knew of no version, is seen", async () => {
  const sku = await stocked(3n);
  const { token } = await watched([sku], 1);
  await inventory.db.query("update stock set on_hand = on_hand + 4 where sku = $1", [sku]);
  expect((await watched([sku], 1, token)).seen).toEqual([[sku, 7n]]);
});

test("of two who change a stock at once, both count", async () => {
  const sku = await stocked(100n);
  const versionOf = async (): Promise<bigint> => {
    const [row] = await inventory.db.query<{ version: bigint }>("select version from stock where sku = $1", [sku]);
    return row?.version ?? 0n;
  };
  const before = await versionOf();
  await Promise.all(Array.from({ length: 20 }, () => held([{ sku, quantity: 1n }])));
  expect(await versionOf()).toBe(before + 20n);
});
