export type PaymentState = "PENDING" | "AUTHORIZED" | "DECLINED" | "CAPTURED" | "VOIDED" | "EXPIRED";
export type OperationKind = "AUTHORIZE" | "CAPTURE" | "VOID" | "REFUND" | LateKind;
/** What undoes at the payment gateway a success that came too late. The payment stays as it is. */
export type LateKind = "LATE_VOID" | "LATE_REFUND";

/** What decides over a payment; amounts in minor units. */
export interface Standing {
  readonly state: PaymentState;
  readonly currencyCode: string;
  readonly amount: bigint;
  readonly captured: bigint;
  readonly refunded: bigint;
}

export interface Amount {
  readonly currencyCode: string;
  readonly minorUnits: bigint;
}

/** What a request comes to before the payment gateway is asked. */
export type Plan =
  /** Ask it, for this much. */
  | { readonly kind: "ask"; readonly minorUnits: bigint }
  /** The payment is as wished already. */
  | { readonly kind: "unchanged" }
  | { readonly kind: "state_conflict"; readonly state: PaymentState }
  | { readonly kind: "amount_too_large"; readonly limit: bigint }
  | { readonly kind: "currency_mismatch"; readonly expected: string };

/** Takes the money that is set aside; `amount` is all of it when absent. */
export function planCapture(payment: Standing, amount: Amount | undefined): Plan {
  if (amount !== undefined && amount.currencyCode !== payment.currencyCode) return mismatch(payment);
  const minorUnits = amount?.minorUnits ?? payment.amount;
  if (payment.state === "CAPTURED" && payment.captured === minorUnits) return { kind: "unchanged" };
  if (payment.state !== "AUTHORIZED") return { kind: "state_conflict", state: payment.state };
  if (minorUnits > payment.amount) return { kind: "amount_too_large", limit: payment.amount };
  return { kind: "ask", minorUnits };
}

/** Lets go what is set aside. What was let go, or never was, is as wished. */
export function planVoid(payment: Standing): Plan {
  switch (payment.state) {
    case "AUTHORIZED":
      return { kind: "ask", minorUnits: payment.amount };
    case "VOIDED":
    case "EXPIRED":
    case "DECLINED":
      return { kind: "unchanged" };
    case "PENDING":
    case "CAPTURED":
      return { kind: "state_conflict", state: payment.state };
  }
}

/** Gives back of what was captured, at most what was not given back yet. */
export function planRefund(payment: Standing, amount: Amount): Plan {
  if (amount.currencyCode !== payment.currencyCode) return mismatch(payment);
  if (payment.state !== "CAPTURED") return { kind: "state_conflict", state: payment.state };
  const limit = payment.captured - payment.refunded;
  if (amount.minorUnits > limit) return { kind: "amount_too_large", limit };
  return { kind: "ask", minorUnits: amount.minorUnits };
}

function mismatch(payment: Standing): Plan {
  return { kind: "currency_mismatch", expected: payment.currencyCode };
}

/** What the payment gateway did, or said that it cannot do. */
export type Outcome =
  | { readonly kind: "done"; readonly operation: OperationKind; readonly minorUnits: bigint }
  | { readonly kind: "declined" }
  | { readonly kind: "refused"; readonly gatewayState: PaymentState | undefined };

/** Where a payment stands after an outcome. Throws when the outcome cannot follow, for that is a defect. */
export function applyOutcome(payment: Standing, outcome: Outcome): Standing {
  switch (outcome.kind) {
    case "declined":
      return move(payment, "PENDING", { state: "DECLINED" });
    case "refused":
      return payment.state === "AUTHORIZED" && isLapsed(outcome.gatewayState)
        ? { ...payment, state: outcome.gatewayState }
        : payment;
    case "done":
      switch (outcome.operation) {
        case "AUTHORIZE":
          return move(payment, "PENDING", { state: "AUTHORIZED" });
        case "CAPTURE":
          return move(payment, "AUTHORIZED", { state: "CAPTURED", captured: outcome.minorUnits });
        case "VOID":
          return move(payment, "AUTHORIZED", { state: "VOIDED" });
        case "REFUND":
          return move(payment, "CAPTURED", { refunded: payment.refunded + outcome.minorUnits });
        case "LATE_VOID":
        case "LATE_REFUND":
          return payment;
      }
  }
}

function isLapsed(state: PaymentState | undefined): state is "VOIDED" | "EXPIRED" {
  return state === "VOIDED" || state === "EXPIRED";
}

function move(payment: Standing, from: PaymentState, change: Partial<Standing>): Standing {
  if (payment.state !== from)
    throw new Error(`a payment that is ${payment.state} cannot change as one that is ${from}`);
  const after = { ...payment, ...change };
  if (after.captured > after.amount || after.refunded > after.captured)
    throw new Error("a payment took or gave too much");
  return after;
}

/** One line of the books. Exactly one of `debit` and `credit` is more than 0. */
export interface LedgerLine {
  readonly account: "gateway_receivable" | "sales" | "refunds";
  readonly debit: bigint;
  readonly credit: bigint;
}

/**
 * How an operation that was done is booked. A capture makes the payment gateway owe the shop what was sold; a refund
 * takes from what it owes. Money that is only set aside is nobody's yet and is not booked; nor is what was taken too late
 * and given back, which never was the shop's.
 */
export function ledgerLines(operation: OperationKind, minorUnits: bigint): readonly LedgerLine[] {
  switch (operation) {
    case "CAPTURE":
      return [
        { account: "gateway_receivable", debit: minorUnits, credit: 0n },
        { account: "sales", debit: 0n, credit: minorUnits },
      ];
    case "REFUND":
      return [
        { account: "refunds", debit: minorUnits, credit: 0n },
        { account: "gateway_receivable", debit: 0n, credit: minorUnits },
      ];
    case "AUTHORIZE":
    case "VOID":
    case "LATE_VOID":
    case "LATE_REFUND":
      return [];
  }
}
