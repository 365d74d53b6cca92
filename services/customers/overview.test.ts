import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Order, Order_State, OrderLine } from "#gen/shop/orders/v1/order.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { peopleOf, startTestCustomers, type TestCustomers } from "./testing/customers.ts";

let customers: TestCustomers;
beforeAll(async () => {
  customers = await startTestCustomers();
});
afterAll(() => customers?.close());

const { as, change, client, keep, person } = peopleOf(() => customers);
const overview = (user: ReturnType<typeof person>, customerId = "") =>
  client().getCustomerOverview({ customerId }, as(user));

const eur = (minorUnits: bigint) => ({ currencyCode: "EUR", minorUnits });
const line = (sku: string, quantity: bigint) => OrderLine.fromPartial({ sku, quantity });
const order = (id: string): Order => ({
  ...Order.fromPartial({ id, state: Order_State.SHIPPED, createTime: new Date("2026-05-01T12:00:00Z") }),
  ...{ total: eur(1_490n), lines: [line("A", 2n), line("B", 3n)] },
});

beforeEach(() => {
  customers.orders.list = async () => ({ orders: [order("ord_2"), order("ord_1")], nextPageToken: "" });
  customers.orders.spending = async () => ({ spent: [eur(2_980n)], orderCount: 2n });
});

test("has profile, addresses, recent orders and what was spent", async () => {
  const user = person();
  await change(user, { displayName: "Ada" });
  await keep(user, "Workshop");
  const asked: unknown[] = [];
  customers.orders.list = async (request) => {
    asked.push(request);
    return { orders: [order("ord_1")], nextPageToken: "more" };
  };
  expect(await overview(user)).toMatchObject({
    customer: { id: user.id, displayName: "Ada" },
    addresses: [{ label: "Workshop" }],
    ordersAvailable: true,
    recentOrders: [
      {
        orderId: "ord_1",
        state: "SHIPPED",
        total: eur(1_490n),
        unitCount: 5n,
        createTime: new Date("2026-05-01T12:00:00Z"),
      },
    ],
    totalSpent: [eur(2_980n)],
  });
  expect(asked).toMatchObject([{ customerId: user.id, pageSize: 10 }]);
});

test("of somebody else is shown to support alone", async () => {
  const user = person();
  await change(user, { displayName: "Ada" });
  expect((await overview(person("customer", "support"), user.id)).customer?.displayName).toBe("Ada");
  await expect(overview(person(), user.id)).rejects.toMatchObject({ reason: "CUSTOMER_NOT_FOUND" });
});

describe("is answered without orders, and says so, when", () => {
  const away = async (user = person()) => {
    await change(user, { displayName: "Ada" });
    expect(await overview(user)).toMatchObject({
      ...{ customer: { displayName: "Ada" }, ordersAvailable: false, recentOrders: [], totalSpent: [] },
    });
  };

  test("they are away", async () => {
    customers.orders.list = async () => {
      throw meshFailure("SERVICE_UNAVAILABLE", "not here");
    };
    await away();
  });

  test("they tell of one half only", async () => {
    customers.orders.spending = async () => {
      throw new Error("a defect");
    };
    await away();
  });

  test("they do not answer", async () => {
    let open = (): void => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    customers.orders.list = async () => {
      await opened;
      return { orders: [], nextPageToken: "" };
    };
    await away();
    open();
  });
});

test("a caller who gives up is not answered", async () => {
  const controller = new AbortController();
  customers.orders.list = async () => {
    controller.abort();
    return { orders: [], nextPageToken: "" };
  };
  const call = customers.mesh.call({ user: person(), signal: controller.signal });
  await expect(client().getCustomerOverview({ customerId: "" }, call)).rejects.toMatchObject({ code: "CANCELLED" });
});
