import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  applyOutcome,
  ledgerLines,
  type PaymentState,
  planCapture,
  planRefund,
  planVoid,
  type Standing,
} from "./domain.ts";

const payment = (state: PaymentState, change: Partial<Standing> = {}): Standing => ({
  state,
  currencyCode: "EUR",
  amount: 1_000n,
  captured: state === "CAPTURED" ? 1_000n : 0n,
  refunded: 0n,
  ...change,
});
const eur = (minorUnits: bigint) => ({ currencyCode: "EUR", minorUnits });
const conflict = (state: PaymentState) => ({ kind: "state_conflict", state });

test.each([
  ["PENDING", conflict("PENDING"), conflict("PENDING"), conflict("PENDING")],
  ["AUTHORIZED", { kind: "ask", minorUnits: 1_000n }, { kind: "ask", minorUnits: 1_000n }, conflict("AUTHORIZED")],
  ["DECLINED", conflict("DECLINED"), { kind: "unchanged" }, conflict("DECLINED")],
  ["CAPTURED", { kind: "unchanged" }, conflict("CAPTURED"), { kind: "ask", minorUnits: 1n }],
  ["VOIDED", conflict("VOIDED"), { kind: "unchanged" }, conflict("VOIDED")],
  ["EXPIRED", conflict("EXPIRED"), { kind: "unchanged" }, conflict("EXPIRED")],
] as const)(
  "a payment that is %s is captured, voided and refunded as its life allows",
  (state, capture, letGo, refund) => {
    expect(planCapture(payment(state), undefined)).toEqual(capture);
    expect(planVoid(payment(state))).toEqual(letGo);
    expect(planRefund(payment(state), eur(1n))).toEqual(refund);
  },
);

describe("amounts", () => {
  test("no more is captured than was authorized", () => {
    expect(planCapture(payment("AUTHORIZED"), eur(1_001n))).toEqual({ kind: "amount_too_large", limit: 1_000n });
    expect(planCapture(payment("AUTHORIZED"), eur(1_000n))).toEqual({ kind: "ask", minorUnits: 1_000n });
  });
  test("no more is refunded than is left of what was captured", () => {
    const standing = payment("CAPTURED", { captured: 800n, refunded: 300n });
    expect(planRefund(standing, eur(501n))).toEqual({ kind: "amount_too_large", limit: 500n });
  });
  test("another currency is refused, exactly", () => {
    const usd = { currencyCode: "USD", minorUnits: 1n };
    expect(planCapture(payment("AUTHORIZED"), usd)).toEqual({ kind: "currency_mismatch", expected: "EUR" });
    expect(planRefund(payment("CAPTURED"), usd)).toEqual({ kind: "currency_mismatch", expected: "EUR" });
  });
  test("a second capture of another amount is a conflict", () => {
    expect(planCapture(payment("CAPTURED"), eur(999n))).toEqual(conflict("CAPTURED"));
  });
});

describe("applyOutcome", () => {
  test("an outcome that cannot follow is a defect", () => {
    const captured = { kind: "done", operation: "CAPTURE", minorUnits: 1n } as const;
    expect(() => applyOutcome(payment("VOIDED"), captured)).toThrow("VOIDED");
    const refund = { kind: "done", operation: "REFUND", minorUnits: 1_001n } as const;
    expect(() => applyOutcome(payment("CAPTURED"), refund)).toThrow("too much");
  });
  test("a refusal that tells of a lapse is believed", () => {
    const refused = { kind: "refused", gatewayState: "EXPIRED" } as const;
    expect(applyOutcome(payment("AUTHORIZED"), refused).state).toBe("EXPIRED");
    expect(applyOutcome(payment("CAPTURED"), refused).state).toBe("CAPTURED");
  });
});

test("whatever is done to payments, the books balance and tell what was kept", () => {
  const request = fc.record({ kind: fc.constantFrom("CAPTURE", "VOID", "REFUND"), units: fc.bigInt(1n, 1_200n) });
  fc.assert(
    fc.property(fc.array(request, { maxLength: 20 }), (requests) => {
      let standing = payment("AUTHORIZED");
      const lines = requests.flatMap(({ kind, units }) => {
        const plan =
          kind === "CAPTURE"
            ? planCapture(standing, eur(units))
            : kind === "VOID"
              ? planVoid(standing)
              : planRefund(standing, eur(units));
        if (plan.kind !== "ask") return [];
        standing = applyOutcome(standing, { kind: "done", operation: kind, minorUnits: plan.minorUnits });
        return ledgerLines(kind, plan.minorUnits);
      });
      const sum = (values: readonly bigint[]): bigint => values.reduce((total, value) => total + value, 0n);
      expect(sum(lines.map(({ debit }) => debit))).toBe(sum(lines.map(({ credit }) => credit)));
      const owed = lines.filter(({ account }) => account === "gateway_receivable");
      expect(sum(owed.map(({ debit, credit }) => debit - credit))).toBe(standing.captured - standing.refunded);
    }),
  );
});
