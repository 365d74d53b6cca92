import type { Stock } from "#gen/shop/inventory/v1/stock.ts";
import { type Order, Order_State } from "#gen/shop/orders/v1/order.ts";
import type { LedgerBalance, Payment } from "#gen/shop/payments/v1/payment.ts";
import { sum } from "./figures.ts";
import type { LoadResult } from "./load-plan.ts";

/** Something that must hold after a load. */
export interface Check {
  readonly name: string;
  readonly passed: boolean;
  /** The figures it was judged by. */
  readonly detail: string;
}

/** All that was read once the load was over. */
export interface Books {
  readonly allPaidInTime: boolean;
  readonly orders: readonly Order[];
  readonly payments: readonly Payment[];
  readonly ledger: readonly LedgerBalance[];
  readonly stockBefore: ReadonlyMap<string, Stock>;
  readonly stockAfter: ReadonlyMap<string, Stock>;
  /** Processes that are not the ones that were there before the load. */
  readonly restarted: readonly string[];
}

// What a shopper meets who buys again before the order before has been cleared from the cart.
const expectedFailure = /^(QuoteCheckout|PlaceOrder) FAILED_PRECONDITION (PRICE_CHANGED|CART_EMPTY)$/;

/** Checks what must always be true, whatever the load was. */
export function audit(load: LoadResult, books: Books): readonly Check[] {
  return [
    checkAcknowledged(load, books),
    checkPaid(books),
    checkCaptured(books),
    checkLedger(books),
    checkStock(books),
    checkFailures(load),
    {
      name: "no process ended",
      passed: books.restarted.length === 0,
      detail: books.restarted.length === 0 ? "all are those of the start" : `new: ${books.restarted.join(", ")}`,
    },
  ];
}

function checkAcknowledged({ accepted }: LoadResult, { orders }: Books): Check {
  const known = new Set(orders.map(({ id }) => id));
  const missing = accepted.filter(({ orderId }) => !known.has(orderId)).length;
  const different = new Set(accepted.map(({ orderId }) => orderId)).size;
  return {
    name: "every acknowledged order exists, and is a different one",
    passed: accepted.length > 0 && missing === 0 && different === accepted.length,
    detail: `${accepted.length} acknowledged, ${different} different, ${missing} missing, ${orders.length} there`,
  };
}

function checkPaid({ allPaidInTime, orders }: Books): Check {
  const paid = orders.filter(({ state }) => state === Order_State.PAID).length;
  return {
    name: "every order is PAID",
    passed: allPaidInTime && paid === orders.length,
    detail: `${paid} of ${orders.length}`,
  };
}

function checkCaptured({ orders, payments }: Books): Check {
  const total = sumOf(orders, ({ total }) => total?.minorUnits);
  const captured = sumOf(payments, ({ captured }) => captured?.minorUnits);
  return {
    name: "what was captured is what the orders come to",
    passed: total === captured && payments.length === orders.length,
    detail: `${captured} captured in ${payments.length} payments, ${total} in ${orders.length} orders`,
  };
}

function checkLedger({ ledger, payments }: Books): Check {
  const debit = sumOf(ledger, ({ debitMinorUnits }) => debitMinorUnits);
  const credit = sumOf(ledger, ({ creditMinorUnits }) => creditMinorUnits);
  const captured = sumOf(payments, ({ captured }) => captured?.minorUnits);
  const currencies = new Set(ledger.map(({ currencyCode }) => currencyCode)).size;
  return {
    name: "the ledger's debits equal its credits, and what was captured",
    passed: debit === credit && debit === captured && currencies === 1,
    detail: `${debit} and ${credit}, in ${currencies === 1 ? "one currency" : `${currencies} currencies`}`,
  };
}

function checkStock({ orders, stockBefore, stockAfter }: Books): Check {
  const sold = sumOf(
    orders.flatMap(({ lines }) => lines),
    ({ quantity }) => quantity,
  );
  const gone = sumOf(stockBefore.values(), ({ onHand }) => onHand) - sumOf(stockAfter.values(), ({ onHand }) => onHand);
  const reserved = sumOf(stockAfter.values(), (stock) => stock.reserved);
  return {
    name: "the stock is less by what was sold, and nothing is held",
    passed: gone === sold && reserved === 0n,
    detail: `${gone} gone, ${sold} sold, ${reserved} held`,
  };
}

function checkFailures({ failures }: LoadResult): Check {
  const unexpected = Object.entries(failures).filter(([name]) => !expectedFailure.test(name));
  return {
    name: "no call failed, but for prices that changed with the cart",
    passed: unexpected.length === 0,
    detail: `${sum(Object.values(failures))} failed, ${sum(unexpected.map(([, count]) => count))} of them unexpected`,
  };
}

function sumOf<Item>(items: Iterable<Item>, amountOf: (item: Item) => bigint | undefined): bigint {
  return [...items].reduce((total, item) => total + (amountOf(item) ?? 0n), 0n);
}
