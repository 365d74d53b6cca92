import type { PaymentState, Standing } from "./domain.ts";

/** Where an authorization stands by the payment gateway's books; amounts in minor units. */
export interface GatewayStanding {
  readonly status: "ABSENT" | "AUTHORIZED" | "CAPTURED" | "VOIDED" | "EXPIRED";
  readonly currencyCode: string;
  readonly amount: bigint;
  readonly captured: bigint;
  readonly refunded: bigint;
}

export type DifferenceKind = "MISSING_AT_GATEWAY" | "MISSING_IN_BOOKS" | "AMOUNT_DIFFERS" | "STATE_DIFFERS";

/** What brings a payment and the payment gateway's record of it together. */
export type Alignment =
  /** Nothing: both say the same, or what is left to say costs nobody anything. */
  | { readonly kind: "agree" }
  /** The payment gateway's answer to us is still open; it comes first. */
  | { readonly kind: "wait" }
  /** We note what happened there. */
  | { readonly kind: "lapse"; readonly state: Extract<PaymentState, "VOIDED" | "EXPIRED"> }
  /** What is set aside there for nothing is let go. */
  | { readonly kind: "let_go" }
  /** What was taken there for nothing is given back. */
  | { readonly kind: "give_back"; readonly minorUnits: bigint }
  /** No repair is certain to be right: people decide. */
  | { readonly kind: "report"; readonly difference: DifferenceKind };

const AGREE: Alignment = { kind: "agree" };

/**
 * The table of our state × the payment gateway's. What is final here wins over a success there that came late, for
 * whoever cancelled was told so; what ended there is noted here; all else is reported.
 */
export function planAlignment(ours: Standing, theirs: GatewayStanding): Alignment {
  switch (ours.state) {
    case "PENDING":
      return { kind: "wait" };
    case "DECLINED":
      return theirs.status === "ABSENT" ? AGREE : undo(theirs);
    case "VOIDED":
    case "EXPIRED":
      return theirs.status === "ABSENT" ? report("MISSING_AT_GATEWAY") : undo(theirs);
    case "AUTHORIZED":
      return alignAuthorized(ours, theirs);
    case "CAPTURED":
      return alignCaptured(ours, theirs);
  }
}

function undo(theirs: GatewayStanding): Alignment {
  const left = theirs.captured - theirs.refunded;
  if (theirs.status === "AUTHORIZED") return { kind: "let_go" };
  return theirs.status === "CAPTURED" && left > 0n ? { kind: "give_back", minorUnits: left } : AGREE;
}

function alignAuthorized(ours: Standing, theirs: GatewayStanding): Alignment {
  switch (theirs.status) {
    case "ABSENT":
      return report("MISSING_AT_GATEWAY");
    case "AUTHORIZED":
      return isSameAmount(ours, theirs) ? AGREE : report("AMOUNT_DIFFERS");
    case "CAPTURED":
      return report("STATE_DIFFERS");
    case "VOIDED":
    case "EXPIRED":
      return { kind: "lapse", state: theirs.status };
  }
}

function alignCaptured(ours: Standing, theirs: GatewayStanding): Alignment {
  if (theirs.status === "ABSENT") return report("MISSING_AT_GATEWAY");
  if (theirs.status !== "CAPTURED") return report("STATE_DIFFERS");
  const isSame = isSameAmount(ours, theirs) && ours.captured === theirs.captured && ours.refunded === theirs.refunded;
  return isSame ? AGREE : report("AMOUNT_DIFFERS");
}

function isSameAmount(ours: Standing, theirs: GatewayStanding): boolean {
  return ours.amount === theirs.amount && ours.currencyCode === theirs.currencyCode;
}

function report(difference: DifferenceKind): Alignment {
  return { kind: "report", difference };
}
