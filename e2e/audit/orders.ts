import type { Books, BuyersWord, EventRow, Finding, OrderRow } from "./books.ts";
import { groupBy } from "./figures.ts";
import { liveAuthorizations } from "./money.ts";

/** As the contract of `shop.orders.v1.Order.State` says. */
const next: Readonly<Record<string, readonly string[]>> = {
  PENDING: ["CONFIRMED", "REJECTED", "CANCELLING"],
  CONFIRMED: ["PAID", "CANCELLING"],
  PAID: ["SHIPPED", "CANCELLING"],
  SHIPPED: ["COMPLETED"],
  // Back to where it was when its goods are loaded already.
  CANCELLING: ["CANCELLED", "PAID", "SHIPPED"],
  REJECTED: [],
  COMPLETED: [],
  CANCELLED: [],
};
const final = ["REJECTED", "COMPLETED", "CANCELLED"];

/** Invariant 4: everything has come to rest, and nothing is left over. One line for whatever has not. */
export function unfinished({
  orders,
  returns,
  errands,
  payments,
  operations,
  reservations,
  transactions,
}: Books): readonly string[] {
  const waiting = orders.filter(({ step, leased }) => step !== "done" || leased);
  const captured = new Set(transactions.filter(({ type }) => type === "capture").map((move) => move.authorizationId));
  const idle = liveAuthorizations(transactions).filter(({ authorizationId }) => !captured.has(authorizationId));
  return [
    ...waiting.map(describeWaiting),
    ...orders.filter(({ state }) => state === "CANCELLING").map(({ id }) => `order ${id} is still being cancelled`),
    ...returns.filter(({ state }) => state === "RECEIVED").map(({ id }) => `return ${id} is received and not refunded`),
    ...errands.map(
      (errand) => `${errand.kind} of ${errand.orderId} waits: ${errand.attempts} tries, ${errand.lastError}`,
    ),
    ...reservations
      .filter(({ state }) => state === "ACTIVE")
      .map(({ id, reference }) => `${id} of ${reference} still holds`),
    ...operations
      .filter(({ state }) => state === "PENDING")
      .map(({ id, kind }) => `operation ${id} (${kind}) is pending`),
    ...payments.flatMap(({ id, orderId, state, pendingOperationId }) =>
      state === "PENDING" || state === "AUTHORIZED" || pendingOperationId !== null
        ? [`payment ${id} of ${orderId} is ${state}, operation ${pendingOperationId ?? "none"} under way`]
        : [],
    ),
    ...idle.map(({ authorizationId, reference }) => `${authorizationId} of ${reference} is set aside at the gateway`),
  ];
}

function describeWaiting({ id, state, step, leased, attempts, lastError }: OrderRow): string {
  return `order ${id} is ${state}, at ${step}, ${leased ? "held" : "not held"}, ${attempts} tries, ${lastError || "no error"}`;
}

export function checkAtRest(books: Books): Finding {
  const { orders, reservations, operations, payments } = books;
  const checked = orders.length + reservations.length + operations.length + payments.length;
  const what = "every order is at rest; no hold, lease, operation or authorization is left";
  return { invariant: 4, what, checked, violations: unfinished(books) };
}

/** Invariant 5: every history is a legal path without gaps, and ends with what is final. */
export function checkHistories({ orders, events }: Books): Finding {
  const eventsOf = groupBy(events, ({ orderId }) => orderId);
  const known = new Set(orders.map(({ id }) => id));
  const strays = [...eventsOf.keys()].filter((id) => !known.has(id));
  const violations = orders.flatMap((order) => {
    const path = (eventsOf.get(order.id) ?? []).toSorted((a, b) => a.seq - b.seq);
    return pathProblems(order, path).map((problem) => `${order.id}: ${problem}`);
  });
  return {
    invariant: 5,
    what: "every history is a legal path without gaps; final states are the last",
    checked: events.length,
    violations: [...violations, ...strays.map((id) => `${id}: a history without an order`)],
  };
}

function pathProblems({ state, version }: OrderRow, path: readonly EventRow[]): readonly string[] {
  const problems: string[] = [];
  if (path.length !== version) problems.push(`${path.length} entries, though ${version} were counted`);
  if (path[0]?.state !== "PENDING") problems.push(`begins as ${path[0]?.state}`);
  if (path.at(-1)?.state !== state) problems.push(`ends as ${path.at(-1)?.state}, though it is ${state}`);
  for (const [index, { seq, state: to }] of path.entries()) {
    if (seq !== index + 1) problems.push(`entry ${index + 1} has the number ${seq}`);
    const from = path[index - 1]?.state;
    if (from === undefined) continue;
    if (from === to ? final.includes(to) : !next[from]?.includes(to)) problems.push(`${from} → ${to}`);
  }
  return problems;
}

/** Invariant 6: money is taken only for an order that was confirmed, and what is paid was captured. */
export function checkCaptures({ orders, events, transactions }: Books): Finding {
  const known = new Set(orders.map(({ id }) => id));
  const confirmed = new Set(events.filter(({ state }) => state === "CONFIRMED").map(({ orderId }) => orderId));
  const paid = orders.filter(({ state }) => ["PAID", "SHIPPED", "COMPLETED"].includes(state));
  const captures = transactions.filter(({ type }) => type === "capture");
  const captured = new Set(captures.map(({ reference }) => reference));
  return {
    invariant: 6,
    what: "no authorization and no capture without its order, nothing sold without a capture",
    checked: transactions.length + paid.length,
    violations: [
      ...transactions.flatMap(({ id, type, reference }) =>
        known.has(reference) ? [] : [`${type} ${id} is for ${reference}, which is no order`],
      ),
      ...captures.flatMap(({ id, reference }) =>
        confirmed.has(reference) ? [] : [`capture ${id}: ${reference} was never confirmed`],
      ),
      ...paid.flatMap(({ id, state }) => (captured.has(id) ? [] : [`${id} is ${state}, and nothing was captured`])),
    ],
  };
}

/** Invariant 7: what was acknowledged exists, once for each request, and asking again gives the same answer. */
export function checkAcknowledged({ orders }: Books, { acknowledged, asked, replays }: BuyersWord): Finding {
  const known = new Map(orders.map((order) => [order.id, order]));
  const perRequest = groupBy(orders, ({ customerId, requestId }) => `${customerId} ${requestId}`);
  return {
    invariant: 7,
    what: "every acknowledged order exists, one a request, and a replay gives the same answer",
    checked: acknowledged.length + replays.length,
    violations: [
      ...acknowledged.flatMap(({ orderId, requestId }) => {
        const order = known.get(orderId);
        if (order === undefined) return [`${orderId} was acknowledged, and is not there`];
        return order.requestId === requestId ? [] : [`${orderId} is the answer to ${requestId}, and made by another`];
      }),
      ...[...perRequest].flatMap(([request, made]) => (made.length === 1 ? [] : [`${request}: ${made.length} orders`])),
      ...orders.flatMap(({ id, requestId }) =>
        asked.size === 0 || asked.has(requestId) ? [] : [`${id}: nobody asked for it`],
      ),
      ...replays.flatMap(({ requestId, first, again }) =>
        first === again ? [] : [`${requestId}: first ${first}, then ${again}`],
      ),
    ],
  };
}
