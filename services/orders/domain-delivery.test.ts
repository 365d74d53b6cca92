import { describe, expect, it } from "vitest";
import { transition } from "./domain.ts";
import type { Saga, SagaEvent } from "./domain-saga.ts";
import {
  announced,
  arrived,
  authorized,
  booked,
  calledOff,
  cancel,
  captured,
  committed,
  deliveredSaga,
  follow,
  left,
  move,
  notBooked,
  paid,
  postponed,
  received,
  refundAsked,
  refunded,
  released,
  reserved,
  undeliverable,
  wasLoaded,
} from "./testing/saga-events.ts";

const after = (...events: readonly SagaEvent[]): Saga =>
  events.reduce((saga, event) => move(saga, event).saga, deliveredSaga);
const errandsOf = (saga: Saga, event: SagaEvent) =>
  move(saga, event).errands.map(({ kind, subject }) => `${kind} ${subject}`.trim());

describe("the goods of an order", () => {
  it.each<[string, readonly SagaEvent[], readonly SagaEvent[], readonly string[]]>([
    ["are booked once they are sold", paid, [booked, left, arrived], ["PAID/done", "SHIPPED/done", "COMPLETED/done"]],
    ["may be on their way before the booking is known", paid, [left, arrived], ["SHIPPED/done", "COMPLETED/done"]],
    ["may all come back", [...paid, booked], [left, undeliverable], ["SHIPPED/done", "COMPLETED/done"]],
    [
      "are booked before the cart is cleared",
      [reserved, authorized, postponed, captured, committed],
      [booked],
      ["PAID/clear_cart"],
    ],
    [
      "are booked before money is given back",
      paid,
      [refundAsked, booked],
      ["PAID/create_shipment", "PAID/refund_payment"],
    ],
    [
      "leave while something of them is due",
      [...paid, booked, announced, received],
      [left, arrived],
      ["SHIPPED/restock", "COMPLETED/restock"],
    ],
  ])("%s", (_name, before, events, expected) => {
    expect(follow(after(...before), ...events)).toEqual(expected);
  });

  it.each<[string, readonly SagaEvent[], readonly SagaEvent[], readonly string[]]>([
    [
      "stay when the shipment is called off",
      [...paid, booked],
      [cancel, calledOff, refunded, released],
      ["CANCELLING/cancel_shipment", "CANCELLING/refund_payment", "CANCELLING/release_stock", "CANCELLED/done"],
    ],
    ["go when they are loaded", [...paid, booked], [cancel, wasLoaded], ["CANCELLING/cancel_shipment", "PAID/done"]],
    ["go when they left meanwhile", [...paid, booked], [cancel, left], ["CANCELLING/cancel_shipment", "SHIPPED/done"]],
    [
      "are booked for certain, or not, before that is undone",
      paid,
      [cancel, booked, calledOff],
      ["CANCELLING/create_shipment", "CANCELLING/cancel_shipment", "CANCELLING/refund_payment"],
    ],
    ["were never booked", paid, [cancel, notBooked], ["CANCELLING/create_shipment", "CANCELLING/refund_payment"]],
  ])("of an order that is cancelled %s", (_name, before, events, expected) => {
    expect(follow(after(...before), ...events)).toEqual(expected);
  });

  it("leave no shipment behind when the order is undone", () => {
    expect(after(...paid, booked, cancel, calledOff).shipmentId).toBeUndefined();
  });

  it("are not given up because shipping refuses them", () => {
    expect(transition(after(...paid), notBooked)).toMatchObject({ ok: false });
  });

  it("are not those of another shipment", () => {
    expect(transition(after(...paid, booked), { kind: "goods_left", shipmentId: "shp_2" })).toMatchObject({
      ok: false,
    });
  });
});

describe("a buyer", () => {
  it("is written to when the goods are booked, leave and arrive", () => {
    expect(errandsOf(after(...paid), booked)).toEqual(["mail_confirmation"]);
    expect(errandsOf(after(...paid, booked), left)).toEqual(["mail_confirmation", "mail_shipped shp_1"]);
    expect(errandsOf(after(...paid, booked, left), arrived)).toEqual(["mail_delivered shp_1"]);
    expect(errandsOf(after(...paid, booked, left), undeliverable)).toEqual([]);
  });

  it("is written to when money is given back", () => {
    expect(errandsOf(after(...paid, booked, cancel, calledOff), refunded)).toEqual(["mail_refund cancellation"]);
    const due = after(...paid, booked, refundAsked);
    expect(errandsOf(due, { kind: "payment_refunded", amount: 490n })).toEqual(["mail_refund refund:1"]);
  });

  it("gets the confirmation as well when it was too late to cancel before it was written", () => {
    expect(errandsOf(after(...paid, cancel, booked), wasLoaded)).toEqual(["mail_confirmation"]);
  });
});
