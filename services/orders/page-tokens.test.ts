import { expect, it } from "vitest";
import { Order_State } from "#gen/shop/orders/v1/order.ts";
import { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import { newId } from "#mesh/ids.ts";
import { encodePageToken } from "#mesh/rpc/page-token.ts";
import { shopForEachTest } from "./testing/setup.ts";
import { newBuyer } from "./testing/shop.ts";

const test = shopForEachTest();

const invalid = { code: "INVALID_ARGUMENT", reason: "INVALID_PAGE_TOKEN" };
const id = newId("ord");

it("lists no orders from a position that is none", async () => {
  const user = newBuyer();
  const call = test.shop.mesh.call({ user });
  const filter = { customerId: user.id, state: Order_State.UNSPECIFIED };
  const list = (position: unknown) =>
    test.shop.orders.listOrders({ ...filter, pageSize: 0, pageToken: encodePageToken(filter, position) }, call);
  for (const position of ["\0", "", `${id}\0`, "ord_1", newId("usr"), 1, null, [id]]) {
    await expect(list(position), JSON.stringify(position)).rejects.toMatchObject(invalid);
  }
  expect(await list(id)).toEqual({ orders: [], nextPageToken: "" });
});

it("lists no stuck orders from a position that is none", async () => {
  const operator = test.shop.mesh.mesh("operator").client(OrderService);
  const call = test.shop.mesh.call();
  const list = (position: unknown) =>
    operator.listStuckOrders({ pageSize: 0, pageToken: encodePageToken("stuck orders", position) }, call);
  const times = [-1, 1e16, 1e308, Number.POSITIVE_INFINITY, "0", undefined];
  const positions: readonly unknown[] = [
    ...times.map((stuckTime) => ({ stuckTime, id })),
    { stuckTime: 0, id: "\0" },
    { stuckTime: 0, id: "ord_1" },
    { stuckTime: 0 },
    id,
    null,
  ];
  for (const position of positions) {
    await expect(list(position), JSON.stringify(position)).rejects.toMatchObject(invalid);
  }
  for (const stuckTime of [0, 8.64e15]) {
    expect(await list({ stuckTime, id })).toEqual({ orders: [], nextPageToken: "" });
  }
});
