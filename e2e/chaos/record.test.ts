import { expect, test } from "vitest";
import { PlaceOrderRequest } from "#gen/shop/orders/v1/checkout_service.ts";
import { Order, Order_State } from "#gen/shop/orders/v1/order.ts";
import type { Buyer } from "../support/buyer.ts";
import { createRecord } from "./record.ts";

const empty = new Uint8Array();
const request = { ...PlaceOrderRequest.decode(empty), requestId: "request-1" };
const order = (id: string, state: Order_State = Order_State.CONFIRMED): Order => ({
  ...Order.decode(empty),
  id,
  state,
});
const buyer: Buyer = {
  customerId: "usr_1",
  call: () => Promise.reject(new Error("calls nobody")),
  add: async () => {},
  quote: async () => request,
  place: async () => order("ord_1"),
  order: async () => order("ord_1"),
  secrets: () => [],
  refresh: async () => {},
  close() {},
};

/** Whether the answers to one request, in this order, pass for the same. */
function isSame(...answers: readonly Order[]): boolean {
  const record = createRecord();
  record.asked(buyer, request);
  for (const answer of answers) record.answered(request, answer);
  const [{ first, again } = { first: "", again: "none" }] = record.word().replays;
  return first === again;
}

test("an order that was not decided yet, and then is, is one answer", () => {
  expect(isSame(order("ord_1", Order_State.PENDING), order("ord_1"), order("ord_1", Order_State.PAID))).toBe(true);
});

test("another order is another answer", () => {
  expect(isSame(order("ord_1"), order("ord_2"))).toBe(false);
});

test("another order is another answer, also when the first comes again afterwards", () => {
  expect(isSame(order("ord_1"), order("ord_2"), order("ord_1"))).toBe(false);
});
