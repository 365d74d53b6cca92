import type { Books, Finding, OrderRow, TransactionRow } from "./books.ts";
import { groupBy, sum } from "./figures.ts";

/** Invariant 1: the ledger balances, and everybody's figures of what was taken and given back are the same. */
export function checkMoney(books: Books): readonly Finding[] {
  return [checkLedger(books), checkAmounts(books)];
}

function checkLedger({ ledger, unbalanced, payments }: Books): Finding {
  const currencies = [...new Set([...ledger, ...payments].map(({ currency }) => currency))];
  const violations = currencies.flatMap((currency) => {
    const rows = ledger.filter((row) => row.currency === currency);
    const debit = sum(rows, (row) => row.debit);
    const credit = sum(rows, (row) => row.credit);
    const owed = sum(
      rows.filter(({ account }) => account === "gateway_receivable"),
      (row) => row.debit - row.credit,
    );
    const net = sum(
      payments.filter((payment) => payment.currency === currency),
      ({ captured, refunded }) => captured - refunded,
    );
    return [
      ...(debit === credit ? [] : [`${currency}: debits of ${debit}, credits of ${credit}`]),
      ...(owed === net ? [] : [`${currency}: the gateway owes ${owed} by the ledger, ${net} by the payments`]),
    ];
  });
  return {
    invariant: 1,
    what: "the ledger's debits equal its credits, and its balance is that of the payments",
    checked: ledger.length,
    violations: [...violations, ...unbalanced.map((id) => `operation ${id} does not balance`)],
  };
}

function checkAmounts({ orders, payments, transactions }: Books): Finding {
  const paymentsOf = groupBy(payments, ({ orderId }) => orderId);
  const movedFor = groupBy(transactions, ({ reference }) => reference);
  const known = new Map(orders.map((order) => [order.id, order]));
  const ids = [...new Set([...known.keys(), ...paymentsOf.keys(), ...movedFor.keys()])];
  const violations = ids.flatMap((id) => {
    const byOrder = amountOf(known.get(id));
    const byPayments = sum(paymentsOf.get(id) ?? [], ({ captured, refunded }) => captured - refunded);
    const byGateway = sum(movedFor.get(id) ?? [], signed);
    if (byOrder === byPayments && byPayments === byGateway) return [];
    return [`${id}: ${byOrder} by the order, ${byPayments} by payments, ${byGateway} by the gateway`];
  });
  return {
    invariant: 1,
    what: "captured − refunded is one figure everywhere, order by order",
    checked: ids.length,
    violations,
  };
}

/** What the shop may keep of an order's money. */
function amountOf(order: OrderRow | undefined): bigint {
  if (order === undefined || !["PAID", "SHIPPED", "COMPLETED"].includes(order.state)) return 0n;
  return order.total - order.refunded;
}

function signed({ type, amount }: TransactionRow): bigint {
  if (type === "capture") return amount;
  return type === "refund" ? -amount : 0n;
}

/** Invariant 2: nobody's card is charged twice, or has money set aside twice. */
export function checkOncePerOrder({ payments, transactions }: Books): Finding {
  const movedFor = groupBy(transactions, ({ reference }) => reference);
  const violations = [...movedFor].flatMap(([reference, moves]) => {
    const live = liveAuthorizations(moves).length;
    const captures = moves.filter(({ type }) => type === "capture").length;
    return [
      ...(live <= 1 ? [] : [`${reference}: ${live} live authorizations at the gateway`]),
      ...(captures <= 1 ? [] : [`${reference}: ${captures} captures at the gateway`]),
    ];
  });
  const living = groupBy(
    payments.filter(({ state }) => ["PENDING", "AUTHORIZED", "CAPTURED"].includes(state)),
    ({ orderId }) => orderId,
  );
  const twice = [...living].filter(([, found]) => found.length > 1);
  return {
    invariant: 2,
    what: "at most one live authorization and one capture an order",
    checked: movedFor.size,
    violations: [...violations, ...twice.map(([id, found]) => `${id}: ${found.length} live payments`)],
  };
}

/** Authorizations that were not let go. */
export function liveAuthorizations(moves: readonly TransactionRow[]): readonly TransactionRow[] {
  const voided = new Set(moves.filter(({ type }) => type === "void").map(({ authorizationId }) => authorizationId));
  return moves.filter(({ type, authorizationId }) => type === "authorization" && !voided.has(authorizationId));
}
