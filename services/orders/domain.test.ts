import { describe, expect, it } from "vitest";
import { commandsOf, transition } from "./domain.ts";
import { initialSaga, type SagaEvent } from "./domain-saga.ts";
import {
  abandoned,
  absent,
  authorized,
  cancel,
  captured,
  captureRefused,
  cleared,
  committed,
  declined,
  holdLapsed,
  lapsed,
  move,
  refunded,
  released,
  reserved,
  short,
  tokenReturned,
  voided,
  wasCaptured,
} from "./testing/saga-events.ts";

function follow(...events: readonly SagaEvent[]): readonly string[] {
  let saga = initialSaga;
  return events.map((event) => {
    saga = move(saga, event).saga;
    return `${saga.state}/${saga.step}`;
  });
}

describe("the paths of an order", () => {
  it.each([
    [
      "goes from the hold to the cleared cart",
      [reserved, authorized, captured, committed, cleared],
      [
        "PENDING/authorize_payment",
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
      [reserved, abandoned, authorized, captured],
      ["PENDING/authorize_payment", "PENDING/settle_payment", "CONFIRMED/capture_payment", "CONFIRMED/commit_stock"],
    ],
    [
      "asks again when the token comes again before a lost authorization was looked for",
      [reserved, abandoned, tokenReturned, authorized],
      ["PENDING/authorize_payment", "PENDING/settle_payment", "PENDING/authorize_payment", "CONFIRMED/capture_payment"],
    ],
    [
      "is rejected when a lost authorization is not found",
      [reserved, abandoned, absent, released],
      ["PENDING/authorize_payment", "PENDING/settle_payment", "PENDING/release_stock", "REJECTED/done"],
    ],
    [
      "is undone when the authorization lapsed before the capture",
      [reserved, authorized, lapsed, released],
      ["PENDING/authorize_payment", "CONFIRMED/capture_payment", "CANCELLING/release_stock", "CANCELLED/done"],
    ],
    [
      "is undone when the capture is refused",
      [reserved, authorized, captureRefused, voided, released],
      [
        "PENDING/authorize_payment",
        "CONFIRMED/capture_payment",
        "CANCELLING/void_payment",
        "CANCELLING/release_stock",
        "CANCELLED/done",
      ],
    ],
    [
      "holds stock again when the hold ran out",
      [reserved, authorized, captured, holdLapsed, reserved, committed],
      [
        "PENDING/authorize_payment",
        "CONFIRMED/capture_payment",
        "CONFIRMED/commit_stock",
        "CONFIRMED/reserve_again",
        "CONFIRMED/commit_stock",
        "PAID/clear_cart",
      ],
    ],
    [
      "refunds when stock cannot be held again",
      [reserved, authorized, captured, holdLapsed, short, refunded, released],
      [
        "PENDING/authorize_payment",
        "CONFIRMED/capture_payment",
        "CONFIRMED/commit_stock",
        "CONFIRMED/reserve_again",
        "CANCELLING/refund_payment",
        "CANCELLING/release_stock",
        "CANCELLED/done",
      ],
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
    [
      "refunds when the capture was faster than the cancellation",
      [reserved, authorized, cancel, wasCaptured, refunded, released],
      [
        "PENDING/authorize_payment",
        "CONFIRMED/capture_payment",
        "CANCELLING/void_payment",
        "CANCELLING/refund_payment",
        "CANCELLING/release_stock",
        "CANCELLED/done",
      ],
    ],
  ])("%s", (_path, events, expected) => {
    expect(follow(...events)).toEqual(expected);
  });

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
    expect(move(move(asked, abandoned).saga, absent).saga.rejection).toMatchObject({
      reason: "PAYMENT_DECLINED",
      metadata: { decline_code: "not_completed" },
    });
  });

  it("waits for calls under way before it looks for a lost authorization", () => {
    const asked = move(initialSaga, reserved).saga;
    expect(move(asked, abandoned).afterQuiet).toBe(true);
    expect(move(asked, authorized).afterQuiet).toBe(false);
  });

  it("asks for no authorization any more when it is being cancelled, though the token comes again", () => {
    const cancelling = [reserved, abandoned, cancel].reduce((saga, event) => move(saga, event).saga, initialSaga);
    expect(transition(cancelling, tokenReturned).ok).toBe(false);
  });

  it("gives every hold a key of its own, and keeps all other keys", () => {
    const paid = [reserved, authorized, captured].reduce((saga, event) => move(saga, event).saga, initialSaga);
    const keys = [commandsOf(paid)[0]?.key];
    let saga = paid;
    for (const event of [holdLapsed, reserved, holdLapsed, reserved]) {
      const moved = move(saga, event);
      saga = moved.saga;
      keys.push(moved.commands[0]?.key);
    }
    expect(keys).toEqual(["commit:1", "reserve:2", "commit:2", "reserve:3", "commit:3"]);
  });
});
