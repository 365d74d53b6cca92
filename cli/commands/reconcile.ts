import { randomUUID } from "node:crypto";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import type { ReconcilePaymentsResponse } from "#gen/shop/payments/v1/payment_service.ts";
import {
  type Discrepancy,
  Discrepancy_Kind,
  Discrepancy_State,
  type ReconciledTotal,
} from "#gen/shop/payments/v1/reconciliation.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import { callFailure } from "../operator-client.ts";
import { exitCodes } from "../operator-error.ts";
import type { Output } from "../output.ts";
import { textTable } from "../table.ts";

const timeoutMs = 60_000;
/** How often it goes on where the last comparison stopped: a million transactions. */
const maxRounds = 100;
const maxDiscrepancies = 100;

/** Compares the books with the payment gateway's now. Returns the exit code: 0 when they agree. */
export async function reconcile(options: {
  readonly mesh: MeshNode;
  readonly output: Output;
  readonly json: boolean;
}): Promise<number> {
  const { mesh, output, json } = options;
  const client = mesh.client(PaymentService);
  const call = () => mesh.background({ name: "reconcile", timeoutMs });
  let result: ReconcilePaymentsResponse;
  let rounds = 0;
  do {
    const round = await client.try.reconcilePayments({ requestId: `reconcile-${randomUUID()}` }, call());
    if (!round.ok) throw callFailure("the books can't be compared", round.error);
    result = round.value;
    rounds += 1;
  } while (!result.complete && rounds < maxRounds);
  const wanted = { state: Discrepancy_State.OPEN, pageSize: maxDiscrepancies, pageToken: "" };
  const listed = await client.try.listDiscrepancies(wanted, call());
  if (!listed.ok) throw callFailure("what differs can't be listed", listed.error);
  const { discrepancies } = listed.value;
  const agrees = result.complete && result.openCount === 0 && result.totals.every(isRight);
  const shown = discrepancies.map(view);
  output.write(
    json ? `${JSON.stringify({ agrees, ...result, discrepancies: shown }, exact, 2)}\n` : report(result, shown),
  );
  return agrees ? exitCodes.ok : exitCodes.failed;
}

/** What is under way explains itself in a minute; what nothing explains, or payments without a ledger, is wrong. */
function isRight({ paymentsMinorUnits, ledgerMinorUnits, unexplainedMinorUnits }: ReconciledTotal): boolean {
  return paymentsMinorUnits === ledgerMinorUnits && unexplainedMinorUnits === 0n;
}

/** A discrepancy with words for its numbers. */
function view(one: Discrepancy) {
  return {
    ...one,
    kind: nameOf(Discrepancy_Kind, one.kind),
    state: nameOf(Discrepancy_State, one.state),
    ourState: one.ourState === Payment_State.UNSPECIFIED ? undefined : nameOf(Payment_State, one.ourState),
    gatewayState: one.gatewayState === Payment_State.UNSPECIFIED ? undefined : nameOf(Payment_State, one.gatewayState),
  };
}

function nameOf(names: Readonly<Record<string, number>>, value: number): string {
  return Object.entries(names).find(([, one]) => one === value)?.[0] ?? String(value);
}

/** Money as text, for a number in JSON is not exact for every reader. */
function exact(_name: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

function report(result: ReconcilePaymentsResponse, discrepancies: readonly ReturnType<typeof view>[]): string {
  const totals = [
    ["CURRENCY", "PAYMENTS", "LEDGER", "GATEWAY", "UNDER WAY", "UNEXPLAINED"],
    ...result.totals.map((total) => [
      total.currencyCode,
      ...[total.paymentsMinorUnits, total.ledgerMinorUnits, total.gatewayMinorUnits].map(String),
      ...[total.underWayMinorUnits, total.unexplainedMinorUnits].map(String),
    ]),
  ];
  const side = (state: string | undefined, minorUnits: bigint) =>
    state === undefined ? "-" : `${state} ${minorUnits}`;
  const differing = [
    ["DISCREPANCY", "KIND", "PAYMENT", "AT THE GATEWAY", "CURRENCY", "OURS", "THE GATEWAY'S"],
    ...discrepancies.map((one) => [
      ...[one.id, one.kind, one.paymentId || "-", one.providerReference || "-", one.currencyCode],
      ...[side(one.ourState, one.ourMinorUnits), side(one.gatewayState, one.gatewayMinorUnits)],
    ]),
  ];
  const { provider, repairedCount, openCount, underWayCount, complete } = result;
  return [
    `books compared with ${provider}'s${complete ? "" : ", and not to the end: run it again"}\n`,
    `${repairedCount} repaired, ${openCount} open, ${underWayCount} under way\n\n`,
    `captured and not given back, in minor units:\n${textTable(totals)}`,
    ...(discrepancies.length > 0 ? [`\n${textTable(differing)}`] : []),
  ].join("");
}
