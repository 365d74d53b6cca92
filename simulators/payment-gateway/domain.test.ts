import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Authorization,
  apply,
  type Command,
  capturableAmount,
  capturedAmount,
  decide,
  failsBeforeEffect,
  type PaymentEvent,
  refundedAmount,
  stateOf,
  subjectOf,
} from "./domain.ts";

const start = new Date("2026-06-01T12:00:00Z");
const lifetimeMs = 1_000;
const id = `auth_${"0a".repeat(16)}`;

function circumstances(now = start) {
  return { now, newAuthorizationId: id, authorizationLifetimeMs: lifetimeMs };
}

function authorizeCommand(overrides: Partial<Extract<Command, { operation: "authorize" }>> = {}): Command {
  return {
    operation: "authorize",
    amount: 100n,
    currency: "EUR",
    paymentToken: "tok_visa",
    reference: "r",
    ...overrides,
  };
}

function authorized(amount = 100n): Authorization {
  const decision = decide(undefined, authorizeCommand({ amount }), circumstances());
  if (!decision.ok) throw new Error(decision.error.code);
  return apply(undefined, decision.value);
}

/** Carries out commands one after another and gives the last state; a refusal throws its code. */
function after(authorization: Authorization, ...commands: Command[]): Authorization {
  return commands.reduce((state, command) => {
    const decision = decide(state, command, circumstances());
    if (!decision.ok) throw new Error(decision.error.code);
    return apply(state, decision.value);
  }, authorization);
}

function refusal(authorization: Authorization | undefined, command: Command, now = start): string {
  const decision = decide(authorization, command, circumstances(now));
  return decision.ok ? `did ${decision.value.type}` : decision.error.code;
}

const capture = (amount?: bigint): Command => ({ operation: "capture", authorizationId: id, amount });
const voidIt: Command = { operation: "void", authorizationId: id };
const captureId = (count: number): string => `cap_${id.slice(5)}_${count}`;
const refund = (amount?: bigint, of = captureId(1)): Command => ({ operation: "refund", captureId: of, amount });
const end = new Date(start.getTime() + lifetimeMs);

describe("an authorization", () => {
  it.each([
    ["tok_declined", "card_declined"],
    ["tok_insufficient_funds", "insufficient_funds"],
    ["tok_visa ", "invalid_token"],
    ["", "invalid_token"],
  ])("is refused for the token %j with %s", (paymentToken, code) => {
    expect(refusal(undefined, authorizeCommand({ paymentToken }))).toBe(code);
  });

  it("is captured in whole when no amount is given", () => {
    const state = after(authorized(), capture());
    expect(capturedAmount(state)).toBe(100n);
    expect(stateOf(state, start)).toBe("captured");
  });

  it("is captured in parts up to its amount, and not a unit further", () => {
    const state = after(authorized(), capture(30n), capture(70n));
    expect(state.captures.map(({ id: part }) => part)).toEqual([captureId(1), captureId(2)]);
    expect(refusal(state, capture(1n))).toBe("capture_exceeds_authorized");
    expect(refusal(state, capture())).toBe("capture_exceeds_authorized");
    expect(refusal(after(authorized(), capture(30n)), capture(71n))).toBe("capture_exceeds_authorized");
  });

  it("has a limited number of captures", () => {
    const state = after(authorized(), ...Array.from({ length: 20 }, () => capture(1n)));
    expect(refusal(state, capture(1n))).toBe("too_many_captures");
  });

  it("is voided once, and only before a capture", () => {
    const voided = after(authorized(), voidIt);
    expect(stateOf(voided, start)).toBe("voided");
    expect(refusal(voided, voidIt)).toBe("authorization_voided");
    expect(refusal(voided, capture())).toBe("authorization_voided");
    expect(refusal(after(authorized(), capture(1n)), voidIt)).toBe("authorization_captured");
  });

  it("expires at its time and not a millisecond earlier", () => {
    const justBefore = new Date(end.getTime() - 1);
    expect(refusal(authorized(), capture(), justBefore)).toBe("did captured");
    expect(refusal(authorized(), capture(), end)).toBe("authorization_expired");
    expect(refusal(authorized(), voidIt, end)).toBe("authorization_expired");
    expect(stateOf(authorized(), justBefore)).toBe("authorized");
    expect(stateOf(authorized(), end)).toBe("expired");
  });

  it("stays captured in part when the rest expires, and can still be refunded", () => {
    const state = after(authorized(), capture(40n));
    expect(stateOf(state, end)).toBe("partially_captured");
    expect(capturableAmount(state, end)).toBe(0n);
    expect(refusal(state, refund(40n), end)).toBe("did refunded");
  });
});

describe("a refund", () => {
  it("gives back all that is left of a capture when no amount is given", () => {
    const state = after(authorized(), capture(80n), refund(30n), refund());
    expect(state.captures.map(refundedAmount)).toEqual([80n]);
    expect(refusal(state, refund())).toBe("refund_exceeds_captured");
  });

  it("never exceeds its capture, even if another capture has more", () => {
    const state = after(authorized(), capture(20n), capture(80n));
    expect(refusal(state, refund(21n))).toBe("refund_exceeds_captured");
    expect(refusal(state, refund(80n, captureId(2)))).toBe("did refunded");
  });

  it("has a limited number for a capture", () => {
    const state = after(authorized(), capture(), ...Array.from({ length: 50 }, () => refund(1n)));
    expect(refusal(state, refund(1n))).toBe("too_many_refunds");
  });

  it("is refused for a capture that does not exist", () => {
    expect(refusal(authorized(), refund(1n))).toBe("capture_not_found");
    expect(refusal(undefined, refund(1n, "cap_nonsense"))).toBe("capture_not_found");
    expect(subjectOf(refund(1n, "cap_nonsense"))).toBeUndefined();
    expect(subjectOf(refund(1n))).toBe(id);
  });
});

const step = fc.record({
  command: fc.oneof(
    fc.record({
      operation: fc.constant("capture" as const),
      amount: fc.option(fc.bigInt(1n, 120n), { nil: undefined }),
    }),
    fc.record({ operation: fc.constant("void" as const) }),
    fc.record({
      operation: fc.constant("refund" as const),
      amount: fc.option(fc.bigInt(1n, 120n), { nil: undefined }),
      capture: fc.integer({ min: 1, max: 4 }),
    }),
  ),
  passedMs: fc.integer({ min: 0, max: 300 }),
});

describe("any history of commands", () => {
  it("keeps 0 ≤ refunded ≤ captured ≤ authorized, and moves no money after a void or an expiry", () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(fc.bigInt(1n, 120n), fc.array(step, { maxLength: 30 }), (amount, steps) => {
        let state = authorized(amount);
        let now = start;
        const history: PaymentEvent[] = [];
        for (const { command, passedMs } of steps) {
          now = new Date(now.getTime() + passedMs);
          const decision = decide(state, toCommand(command), circumstances(now));
          seen.add(decision.ok ? decision.value.type : decision.error.code);
          if (!decision.ok) continue;
          history.push(decision.value);
          state = apply(state, decision.value);
          checkBooks(state, history, now);
        }
      }),
      { numRuns: 2_000 },
    );
    // The property is worth something only if the histories reached every corner.
    expect([...seen].sort()).toEqual([
      "authorization_captured",
      "authorization_expired",
      "authorization_voided",
      "capture_exceeds_authorized",
      "capture_not_found",
      "captured",
      "refund_exceeds_captured",
      "refunded",
      "voided",
    ]);
  });
});

type Generated = typeof step extends fc.Arbitrary<infer Step extends { command: unknown }> ? Step["command"] : never;

function toCommand(command: Generated): Command {
  if (command.operation === "refund") return refund(command.amount, captureId(command.capture));
  return command.operation === "void" ? voidIt : capture(command.amount);
}

function checkBooks(state: Authorization, history: readonly PaymentEvent[], now: Date): void {
  const sum = (type: PaymentEvent["type"]) =>
    history.reduce((total, event) => (event.type === type ? total + event.amount : total), 0n);
  const captured = sum("captured");
  const refunded = sum("refunded");
  expect(captured).toBe(capturedAmount(state));
  expect(refunded).toBe(state.captures.reduce((total, part) => total + refundedAmount(part), 0n));
  expect(refunded >= 0n && refunded <= captured && captured <= state.amount).toBe(true);
  for (const part of state.captures) expect(refundedAmount(part) <= part.amount).toBe(true);
  expect(capturableAmount(state, now) >= 0n).toBe(true);
  if (history.some(({ type }) => type === "voided")) expect(captured).toBe(0n);
  for (const event of history) {
    expect(event.amount > 0n).toBe(true);
    if (event.type !== "refunded") expect(event.time < state.expireTime).toBe(true);
  }
}

describe("an unreliable card", () => {
  it("fails before the effect for about half of all keys, alike ones too", () => {
    const keys = Array.from({ length: 1_000 }, (_, index) => `ord_${index}:authorize`);
    const before = keys.filter(failsBeforeEffect).length;
    expect(before).toBeGreaterThan(400);
    expect(before).toBeLessThan(600);
    expect(keys.filter(failsBeforeEffect).length).toBe(before);
  });
});
