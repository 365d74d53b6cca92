import { expect, test } from "vitest";
import type { PaymentState, Standing } from "./domain.ts";
import { type GatewayStanding, planAlignment } from "./domain-alignment.ts";

const eur = { currencyCode: "EUR", amount: 1_000n };
const taken = { captured: 1_000n, refunded: 0n };
const nothing = { captured: 0n, refunded: 0n };

const ours = (state: PaymentState, change: Partial<Standing> = {}): Standing => ({
  ...{ state, ...eur, ...(state === "CAPTURED" ? taken : nothing) },
  ...change,
});
const theirs = (status: GatewayStanding["status"], change: Partial<GatewayStanding> = {}): GatewayStanding => ({
  ...{ status, ...eur, ...(status === "CAPTURED" ? taken : nothing) },
  ...change,
});

const GATEWAY = ["ABSENT", "AUTHORIZED", "CAPTURED", "VOIDED", "EXPIRED"] as const;

/** In the order of GATEWAY; a word is what is done, and in capitals what is reported. */
test.each([
  ["PENDING", "wait wait wait wait wait"],
  ["AUTHORIZED", "MISSING_AT_GATEWAY agree STATE_DIFFERS lapse:VOIDED lapse:EXPIRED"],
  ["DECLINED", "agree let_go give_back:1000 agree agree"],
  ["CAPTURED", "MISSING_AT_GATEWAY STATE_DIFFERS agree STATE_DIFFERS STATE_DIFFERS"],
  ["VOIDED", "MISSING_AT_GATEWAY let_go give_back:1000 agree agree"],
  ["EXPIRED", "MISSING_AT_GATEWAY let_go give_back:1000 agree agree"],
] as const)("a payment that is %s meets each state of the gateway's", (state, row) => {
  const planned = GATEWAY.map((status) => {
    const plan = planAlignment(ours(state), theirs(status));
    switch (plan.kind) {
      case "report":
        return plan.difference;
      case "lapse":
        return `lapse:${plan.state}`;
      case "give_back":
        return `give_back:${plan.minorUnits}`;
      default:
        return plan.kind;
    }
  });
  expect(planned.join(" ")).toBe(row);
});

const agree = { kind: "agree" };
const differs = { kind: "report", difference: "AMOUNT_DIFFERS" };

test("amounts agree to the unit, and so do currencies", () => {
  expect(planAlignment(ours("CAPTURED"), theirs("CAPTURED", { captured: 999n }))).toEqual(differs);
  expect(planAlignment(ours("CAPTURED"), theirs("CAPTURED", { refunded: 1n }))).toEqual(differs);
  expect(planAlignment(ours("CAPTURED", { refunded: 1n }), theirs("CAPTURED", { refunded: 1n }))).toEqual(agree);
  expect(planAlignment(ours("AUTHORIZED"), theirs("AUTHORIZED", { amount: 999n }))).toEqual(differs);
  expect(planAlignment(ours("AUTHORIZED"), theirs("AUTHORIZED", { currencyCode: "USD" }))).toEqual(differs);
});

test("of what was taken for nothing, the rest is given back, once", () => {
  const half = theirs("CAPTURED", { captured: 800n, refunded: 300n });
  expect(planAlignment(ours("VOIDED"), half)).toEqual({ kind: "give_back", minorUnits: 500n });
  expect(planAlignment(ours("VOIDED"), theirs("CAPTURED", { refunded: 1_000n }))).toEqual(agree);
});
