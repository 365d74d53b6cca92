import { describe, expect, it } from "vitest";
import { commandsOf, transition } from "./domain.ts";
import type { Saga } from "./domain-saga.ts";
import {
  abandoned,
  after,
  announced,
  authorized,
  cancel,
  captured,
  captureRefused,
  cleared,
  committed,
  confirmed,
  declined,
  follow,
  holdLapsed,
  initialSaga,
  lapsed,
  moneyRefunded,
  move,
  paid,
  postponed,
  received,
  refundAsked,
  refunded,
  released,
  reserved,
  restocked,
  returnRefunded,
  short,
  tokenReturned,
  voided,
  wasCaptured,
  wasCommitted,
} from "./testing/saga-events.ts";

describe("the paths of an order", () => {
  it.each([
    [
      "goes from the hold to the sale, with the cart cleared before the capture",
      paid,
      [
        "PENDING/authorize_payment",
        "CONFIRMED/clear_cart",
        "CONFIRMED/capture_payment",
        "CONFIRMED/commit_stock",
        "PAID/done",
      ],
    ],
    [
      "clears the cart at the end when it was not reached before",
      [reserved, authorized, postponed, captured, committed, cleared],
      [
        "PENDING/authorize_payment",
        "CONFIRMED/clear_cart",
        "CONFIRMED/capture_payment",
        "CONFIRMED/commit_stock",
        "PAID/clear_cart",
        "PAID/done",
      ],
    ],
    ["is rejected when stock is short", [short], ["REJECTED/done"]],
    [
      "gives the hold back before it is rejected for a decline",
      [reserved, declined, released],
      ["PENDING/authorize_payment", "PENDING/release_stock", "REJECTED/done"],
    ],
    [
      "goes on when a lost authorization is found",
      [reserved, abandoned, authorized],
      ["PENDING/authorize_payment", "PENDING/settle_payment", "CONFIRMED/clear_cart"],
    ],
    [
      "asks again when the token comes again before a lost authorization was looked for",
      [reserved, abandoned, tokenReturned, authorized],
      ["PENDING/authorize_payment", "PENDING/settle_payment", "PENDING/authorize_payment", "CONFIRMED/clear_cart"],
    ],
    [
      "is rejected when a lost authorization did not come about",
      [reserved, abandoned, declined, released],
      ["PENDING/authorize_payment", "PENDING/settle_payment", "PENDING/release_stock", "REJECTED/done"],
    ],
    [
      "releases the hold that was under way when it was cancelled",
      [cancel, reserved, released],
      ["CANCELLING/reserve_stock", "CANCELLING/release_stock", "CANCELLED/done"],
    ],
    ["is cancelled at once when the hold fails", [cancel, short], ["CANCELLING/reserve_stock", "CANCELLED/done"]],
    [
      "voids the authorization that was under way when it was cancelled",
      [reserved, cancel, authorized, voided, released],
      [
        "PENDING/authorize_payment",
        "CANCELLING/authorize_payment",
        "CANCELLING/void_payment",
        "CANCELLING/release_stock",
        "CANCELLED/done",
      ],
    ],
    [
      "is cancelled, not rejected, when the payment is declined after the cancellation",
      [reserved, cancel, declined, released],
      ["PENDING/authorize_payment", "CANCELLING/authorize_payment", "CANCELLING/release_stock", "CANCELLED/done"],
    ],
  ])("%s", (_path, events, expected) => {
    expect(follow(initialSaga, ...events)).toEqual(expected);
  });

  it.each([
    [
      "is undone when the authorization lapsed before the capture",
      confirmed,
      [lapsed, released],
      ["CANCELLING/release_stock", "CANCELLED/done"],
    ],
    [
      "is undone when the capture is refused",
      confirmed,
      [captureRefused, voided, released],
      ["CANCELLING/void_payment", "CANCELLING/release_stock", "CANCELLED/done"],
    ],
    [
      "holds stock again when the hold ran out",
      [...confirmed, captured],
      [holdLapsed, reserved, committed],
      ["CONFIRMED/reserve_again", "CONFIRMED/commit_stock", "PAID/done"],
    ],
    [
      "refunds when stock cannot be held again",
      [...confirmed, captured, holdLapsed],
      [short, refunded, released],
      ["CANCELLING/refund_payment", "CANCELLING/release_stock", "CANCELLED/done"],
    ],
    [
      "lets the payment go when it is cancelled while its cart is cleared",
      [reserved, authorized],
      [cancel, voided, released],
      ["CANCELLING/void_payment", "CANCELLING/release_stock", "CANCELLED/done"],
    ],
    [
      "refunds when the capture was faster than the cancellation",
      confirmed,
      [cancel, wasCaptured, refunded, released],
      ["CANCELLING/void_payment", "CANCELLING/refund_payment", "CANCELLING/release_stock", "CANCELLED/done"],
    ],
    [
      "releases the hold when the cancellation was faster than the sale",
      [...confirmed, captured],
      [cancel, refunded, released],
      ["CANCELLING/refund_payment", "CANCELLING/release_stock", "CANCELLED/done"],
    ],
    [
      "takes the stock back when the sale was faster than the cancellation",
      [...confirmed, captured],
      [cancel, refunded, wasCommitted, restocked],
      ["CANCELLING/refund_payment", "CANCELLING/release_stock", "CANCELLING/restock", "CANCELLED/done"],
    ],
    [
      "is undone when it is cancelled after all was done",
      paid,
      [cancel, refunded, wasCommitted, restocked],
      ["CANCELLING/refund_payment", "CANCELLING/release_stock", "CANCELLING/restock", "CANCELLED/done"],
    ],
    [
      "takes goods back, then refunds them, and stays PAID",
      paid,
      [announced, received, restocked, returnRefunded],
      ["PAID/done", "PAID/restock", "PAID/refund_payment", "PAID/done"],
    ],
    [
      "works off what is due one after another, and clears the cart after that",
      [reserved, authorized, postponed, captured, committed],
      [announced, refundAsked, received, moneyRefunded, restocked, returnRefunded, cleared],
      [
        "PAID/clear_cart",
        "PAID/refund_payment",
        "PAID/refund_payment",
        "PAID/restock",
        "PAID/refund_payment",
        "PAID/clear_cart",
        "PAID/done",
      ],
    ],
  ])("%s", (_path, before, events, expected) => {
    expect(follow(after(...before), ...events)).toEqual(expected);
  });

  it.each(["SHIPPED", "COMPLETED"] as const)("takes goods and money back when it is %s, and stays so", (state) => {
    const shipped: Saga = { ...after(...paid), state };
    expect(follow(shipped, announced, received, restocked, returnRefunded, refundAsked, moneyRefunded)).toEqual(
      ["done", "restock", "refund_payment", "done", "refund_payment", "done"].map((step) => `${state}/${step}`),
    );
    expect(transition(shipped, cancel).ok).toBe(false);
  });
});

describe("what a move carries", () => {
  it("carries what was short into the rejection", () => {
    expect(move(initialSaga, short).saga.rejection).toMatchObject({
      reason: "OUT_OF_STOCK",
      metadata: { "available.SKU-1": "2" },
    });
  });

  it("carries the decline's code into the rejection", () => {
    const asked = move(initialSaga, reserved).saga;
    expect(move(asked, declined).saga.rejection).toMatchObject({
      reason: "PAYMENT_DECLINED",
      metadata: { decline_code: "card_declined" },
    });
  });

  it("gives the buyer time to bring the token again, unless the order is being cancelled", () => {
    const asked = move(initialSaga, reserved).saga;
    expect(move(asked, abandoned).awaitsToken).toBe(true);
    expect(move(asked, authorized).awaitsToken).toBe(false);
    expect(move(move(asked, cancel).saga, abandoned).awaitsToken).toBe(false);
  });

  it("asks for no authorization any more when it is being cancelled, though the token comes again", () => {
    expect(transition(after(reserved, abandoned, cancel), tokenReturned).ok).toBe(false);
  });

  it("gives every hold a key of its own, and keeps all other keys", () => {
    let saga = after(...confirmed, captured);
    const keys = [commandsOf(saga)[0]?.key];
    for (const event of [holdLapsed, reserved, holdLapsed, reserved]) {
      const moved = move(saga, event);
      saga = moved.saga;
      keys.push(moved.commands[0]?.key);
    }
    expect(keys).toEqual(["commit:1", "reserve:2", "commit:2", "reserve:3", "commit:3"]);
  });
});
