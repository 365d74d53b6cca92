import { CheckoutService } from "#gen/shop/orders/v1/checkout_service.contract.ts";
import { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import { newId } from "#mesh/ids.ts";
import { type Caller, person, testOnce, workload } from "#testing/once.ts";
import { insertOrder } from "./store.ts";
import { newOrder } from "./testing/orders.ts";
import { paidOrder, returnIdOf } from "./testing/paid-order.ts";
import { orderOf, shopForEachTest } from "./testing/setup.ts";
import { newBuyer } from "./testing/shop.ts";

const test = shopForEachTest();
const shoppers = () => [person(), person()] as const;

const userIdOf = ({ user }: Caller): string => user?.id ?? "";

/** An order of this customer that nobody works on. */
async function leasedOrder(customerId: string): Promise<string> {
  const order = await insertOrder(test.db, newOrder({ id: newId("ord"), customerId }), 60_000);
  if (order === undefined) throw new Error("the order was not written");
  return order.id;
}

/** How many entries with such a note each order's history has. */
const entries = (note: string, ...orderIds: readonly string[]) =>
  Promise.all(
    orderIds.map(async (id) => {
      const found = await test.db.query("select seq from order_events where order_id = $1 and note like $2", [
        id,
        note,
      ]);
      return found.length;
    }),
  );

let skus = 0;

testOnce(CheckoutService, () => test.shop.mesh, {
  placeOrder: {
    callers: shoppers,
    // It goes on after the answer.
    answer: (response) => {
      const { id, total, lines } = orderOf(response);
      return { id, total, lines };
    },
    prepare: async (caller, requestId) => {
      skus += 1;
      const sku = `ONCE-${skus}`;
      test.shop.fillCart(userIdOf(caller), { [sku]: 1n });
      const request = test.shop.placeRequest({ id: userIdOf(caller) }, { requestId });
      return {
        request,
        other: () => ({ ...request, paymentToken: "tok_other" }),
        effect: async () => {
          const rows = await test.db.query<{ id: string }>("select id from orders where customer_id = $1", [
            userIdOf(caller),
          ]);
          const payments = [...test.shop.payments.payments.values()];
          return {
            orders: rows.length,
            payments: payments.filter(({ orderId }) => rows.some(({ id }) => id === orderId)).length,
            available: test.shop.inventory.available.get(sku),
          };
        },
        once: { orders: 1, payments: 1, available: 9n },
      };
    },
  },
});

testOnce(OrderService, () => test.shop.mesh, {
  cancelOrder: {
    callers: shoppers,
    prepare: async (caller, requestId) => {
      const [orderId, another] = [await leasedOrder(userIdOf(caller)), await leasedOrder(userIdOf(caller))];
      const request = { requestId, orderId, note: "" };
      return {
        request,
        other: () => ({ ...request, orderId: another }),
        effect: () => entries("cancellation asked for%", orderId, another),
        once: [1, 0],
      };
    },
  },
  retryOrder: {
    callers: () => [workload("operator"), person("support")],
    prepare: async (_, requestId) => {
      const [orderId, another] = [await leasedOrder("usr_1"), await leasedOrder("usr_2")];
      await test.db.query(
        `update orders set attempts = 8, fence = fence + 1, lease_until = null,
           next_attempt_time = now() + interval '1 hour' where id = any($1)`,
        [[orderId, another]],
      );
      const request = { requestId, orderId };
      return {
        request,
        other: () => ({ ...request, orderId: another }),
        effect: () => entries("tried again on request", orderId, another),
        once: [1, 0],
      };
    },
  },
  createReturn: {
    callers: shoppers,
    prepare: async (caller, requestId) => {
      const { id: orderId } = await paidOrder(test.shop, { "SKU-1": 3n }, { id: userIdOf(caller) });
      const request = { requestId, orderId, items: [{ sku: "SKU-1", quantity: 1n }], note: "" };
      return {
        request,
        other: () => ({ ...request, items: [{ sku: "SKU-1", quantity: 2n }] }),
        effect: () => entries("return announced%", orderId),
        once: [1],
      };
    },
  },
  cancelReturn: {
    callers: shoppers,
    prepare: async (caller, requestId) => {
      const paid = await paidOrder(test.shop, { "SKU-1": 3n }, { id: userIdOf(caller) });
      const [returnId, another] = [
        returnIdOf(await paid.announce({ "SKU-1": 1n })),
        returnIdOf(await paid.announce({ "SKU-1": 1n })),
      ];
      const request = { requestId, returnId, note: "" };
      return {
        request,
        other: () => ({ ...request, returnId: another }),
        effect: () => entries("return withdrawn%", paid.id),
        once: [1],
      };
    },
  },
  receiveReturn: {
    callers: () => [person("warehouse"), person("admin")],
    prepare: async (_, requestId) => {
      const paid = await paidOrder(test.shop, { "SKU-1": 3n });
      const [returnId, another] = [
        returnIdOf(await paid.announce({ "SKU-1": 1n })),
        returnIdOf(await paid.announce({ "SKU-1": 1n })),
      ];
      const request = { requestId, returnId };
      return {
        request,
        other: () => ({ ...request, returnId: another }),
        effect: () => entries("goods came back%", paid.id),
        once: [1],
      };
    },
  },
  refundOrder: {
    callers: () => [person("support"), person("admin")],
    prepare: async (_, requestId) => {
      const { id: orderId } = await paidOrder(test.shop, { "SKU-1": 3n });
      const request = { requestId, orderId, amount: { currencyCode: "EUR", minorUnits: 100n }, note: "" };
      return {
        request,
        other: () => ({ ...request, amount: { currencyCode: "EUR", minorUnits: 200n } }),
        effect: () => entries("refund promised%", orderId),
        once: [1],
      };
    },
  },
  eraseCustomerData: {
    callers: () => [workload("customers")],
    prepare: async (_, requestId) => {
      const buyers = [newBuyer(), newBuyer()] as const;
      for (const buyer of buyers) {
        const paid = await paidOrder(test.shop, { "SKU-1": 1n }, buyer);
        await paid.cancel();
        await paid.atRest();
      }
      const request = { requestId, customerId: buyers[0].id };
      const emailsOf = async ({ id }: { readonly id: string }) => {
        const rows = await test.db.query<{ email: string }>("select email from orders where customer_id = $1", [id]);
        return rows.map(({ email }) => email);
      };
      return {
        request,
        other: () => ({ ...request, customerId: buyers[1].id }),
        effect: () => Promise.all(buyers.map(emailsOf)),
        once: [[""], ["buyer@example.com"]],
      };
    },
  },
});
