import type { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import type { Client } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Order } from "../domain-order.ts";
import { orderOf } from "./setup.ts";
import { isAtRest, newBuyer, type TestShop } from "./shop.ts";

/** An order that is PAID and at rest, and what people do with it. */
export interface PaidOrder {
  readonly id: string;
  readonly order: Order;
  /** The buyer's. */
  readonly call: Call;
  readonly support: Call;
  readonly warehouse: Call;
  announce(
    items: Readonly<Record<string, bigint>>,
    changes?: Partial<Parameters<Orders["createReturn"]>[0]>,
  ): Announced;
  /** By the buyer. */
  withdraw(returnId: string, note?: string): ReturnType<Orders["cancelReturn"]>;
  receive(returnId: string): ReturnType<Orders["receiveReturn"]>;
  refund(
    minorUnits: bigint,
    changes?: Partial<Parameters<Orders["refundOrder"]>[0]>,
  ): ReturnType<Orders["refundOrder"]>;
  cancel(): ReturnType<Orders["cancelOrder"]>;
  /** The order once nothing more happens to it by itself. */
  atRest(): Promise<Order>;
}

type Orders = Client<typeof OrderService>;
type Announced = ReturnType<Orders["createReturn"]>;

/** Has a buyer order these units, at 10.00 each and 4.90 for sending, and waits until all is done. */
export async function paidOrder(
  shop: TestShop,
  items: Readonly<Record<string, bigint>>,
  user = newBuyer(),
): Promise<PaidOrder> {
  shop.fillCart(user.id, items);
  const call = shop.mesh.call({ user });
  const units = Object.values(items).reduce((sum, quantity) => sum + quantity, 0n);
  const expectedTotal = { currencyCode: "EUR", minorUnits: units * 1_000n + 490n };
  const { id } = orderOf(await shop.checkout.placeOrder(shop.placeRequest(user, { expectedTotal }), call));
  const support = shop.mesh.call({ user: { id: "usr_support", roles: ["support"] } });
  const warehouse = shop.mesh.call({ user: { id: "usr_warehouse", roles: ["warehouse"] } });
  const atRest = () => shop.until(id, isAtRest);
  return {
    id,
    order: await atRest(),
    call,
    support,
    warehouse,
    announce: (back, changes) => {
      const list = Object.entries(back).map(([sku, quantity]) => ({ sku, quantity }));
      const request = { requestId: newId("req"), orderId: id, items: list, note: "does not fit", ...changes };
      return shop.orders.createReturn(request, call);
    },
    withdraw: (returnId, note = "") => shop.orders.cancelReturn({ requestId: newId("req"), returnId, note }, call),
    receive: (returnId) => shop.orders.receiveReturn({ requestId: newId("req"), returnId }, warehouse),
    refund: (minorUnits, changes) => {
      const amount = { currencyCode: "EUR", minorUnits };
      return shop.orders.refundOrder(
        { requestId: newId("req"), orderId: id, amount, note: "late", ...changes },
        support,
      );
    },
    cancel: () => shop.orders.cancelOrder({ requestId: newId("req"), orderId: id, note: "" }, call),
    atRest,
  };
}

/** The id of the return in an answer. */
export const returnIdOf = ({ orderReturn }: Awaited<Announced>): string => orderReturn?.id ?? "";

/** The return in an answer, but for the shipment that fetches it, which is booked some time after. */
export const unfetched = ({ orderReturn }: Awaited<Announced>) => ({ ...orderReturn, shipmentId: "" });
