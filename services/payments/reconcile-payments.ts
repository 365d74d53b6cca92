import { setTimeout } from "node:timers/promises";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import type {
  ListDiscrepanciesRequest,
  ListDiscrepanciesResponse,
  ReconcilePaymentsRequest,
  ReconcilePaymentsResponse,
} from "#gen/shop/payments/v1/payment_service.ts";
import {
  type Discrepancy,
  Discrepancy_Kind,
  Discrepancy_State,
  type ReconciledTotal,
} from "#gen/shop/payments/v1/reconciliation.ts";
import { systemClock } from "#mesh/clock.ts";
import { once } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { decodeIdToken, pageById } from "#mesh/rpc/page-token.ts";
import { type Deps, fail } from "./deps.ts";
import * as discrepancyStore from "./discrepancy-store.ts";
import * as reconcileStore from "./reconcile-store.ts";
import { reconciledTotals, type TotalRow } from "./reconcile-totals.ts";
import { compareBooks, type Round, withTurn } from "./reconciler.ts";

const PAGE_SIZE = 20;
/** How long to wait before trying again to get a turn, and how much of its time a call leaves for its own round. */
const TURN_WAIT_MS = 100;
const ROUND_MS = 10_000;

/** Compares the books now. The answer is stored before the turn is given back, so copies of a request make one round. */
export const reconcilePayments =
  (deps: Deps) =>
  async (request: ReconcilePaymentsRequest, call: Call): Promise<ReconcilePaymentsResponse> => {
    for (;;) {
      const stored = await storedAnswer(deps, request, call);
      if (stored !== undefined) return stored;
      const answer = await withTurn(deps, async (turn) => {
        const meanwhile = await storedAnswer(deps, request, call);
        if (meanwhile !== undefined) return meanwhile;
        const round = await compareBooks(deps, turn, { signal: call.signal, again: true });
        const response = await answerOf(deps, round);
        return once(deps.db, call, request, deps.clock, async () => response);
      });
      if (answer !== undefined) return answer;
      if (call.deadline - systemClock.now().getTime() < ROUND_MS) {
        throw fail("RECONCILIATION_UNDER_WAY", "The books are being compared already; ask again.");
      }
      await setTimeout(TURN_WAIT_MS, undefined, { signal: call.signal });
    }
  };

class NotYet extends Error {}

/** The answer of an earlier copy of this request, if it has one. */
async function storedAnswer(
  { db, clock }: Deps,
  request: ReconcilePaymentsRequest,
  call: Call,
): Promise<ReconcilePaymentsResponse | undefined> {
  try {
    return await once(db, call, request, clock, async (): Promise<ReconcilePaymentsResponse> => {
      throw new NotYet();
    });
  } catch (error) {
    if (error instanceof NotYet) return undefined;
    throw error;
  }
}

async function answerOf({ db, clock, gateway, log }: Deps, round: Round): Promise<ReconcilePaymentsResponse> {
  const provider = gateway.name;
  const totals = (await reconciledTotals(db, provider)).map(totalMessage);
  for (const { currencyCode, unexplainedMinorUnits } of totals.filter(isWrong)) {
    const unexplained = String(unexplainedMinorUnits);
    log.error({ currencyCode, unexplained }, "the totals of the books do not agree, and nothing explains it");
  }
  const counts = await reconcileStore.countDifferences(db, provider);
  return {
    provider,
    transactionCount: round.transactions,
    paymentCount: round.payments,
    differingCount: round.differing,
    repairedCount: round.repaired,
    openCount: counts.open,
    underWayCount: counts.underWay,
    complete: round.isComplete,
    totals,
    reconcileTime: clock.now(),
  };
}

function totalMessage({ currencyCode, payments, ledger, gateway, underWay }: TotalRow): ReconciledTotal {
  return {
    currencyCode,
    paymentsMinorUnits: payments,
    ledgerMinorUnits: ledger,
    gatewayMinorUnits: gateway,
    underWayMinorUnits: underWay,
    unexplainedMinorUnits: payments - gateway - underWay,
  };
}

function isWrong({ paymentsMinorUnits, ledgerMinorUnits, unexplainedMinorUnits }: ReconciledTotal): boolean {
  return paymentsMinorUnits !== ledgerMinorUnits || unexplainedMinorUnits !== 0n;
}

/** Discrepancies, the newest first. */
export const listDiscrepancies =
  ({ db }: Deps) =>
  async ({ state, pageSize, pageToken }: ListDiscrepanciesRequest): Promise<ListDiscrepanciesResponse> => {
    const filter = { state };
    const limit = pageSize === 0 ? PAGE_SIZE : pageSize;
    const wanted = { state: STATES[state], beforeId: decodeIdToken(filter, pageToken, "dis"), limit: limit + 1 };
    const { items, nextPageToken } = pageById(await discrepancyStore.listDiscrepancies(db, wanted), { limit, filter });
    return { discrepancies: items.map(discrepancyMessage), nextPageToken };
  };

const STATES: Readonly<Record<Discrepancy_State, discrepancyStore.DiscrepancyRow["state"] | undefined>> = {
  [Discrepancy_State.UNSPECIFIED]: undefined,
  [Discrepancy_State.OPEN]: "OPEN",
  [Discrepancy_State.REPAIRED]: "REPAIRED",
  [Discrepancy_State.RESOLVED]: "RESOLVED",
};

function discrepancyMessage(row: discrepancyStore.DiscrepancyRow): Discrepancy {
  return {
    id: row.id,
    provider: row.provider,
    kind: Discrepancy_Kind[row.kind],
    state: Discrepancy_State[row.state],
    paymentId: row.paymentId ?? "",
    providerReference: row.authorizationReference ?? "",
    currencyCode: row.currencyCode,
    ourState: Payment_State[row.ourState ?? "UNSPECIFIED"],
    gatewayState: Payment_State[row.gatewayState ?? "UNSPECIFIED"],
    ourMinorUnits: row.ourKept ?? 0n,
    gatewayMinorUnits: row.gatewayKept ?? 0n,
    createTime: row.createTime,
    updateTime: row.updateTime,
  };
}
