import { type Order, Order_State } from "#gen/shop/orders/v1/order.ts";
import { audit as auditBooks } from "../../e2e/audit/audit.ts";
import type { Books, BuyersWord } from "../../e2e/audit/books.ts";
import { sum } from "../../e2e/support/figures.ts";
import type { LoadResult } from "./load-plan.ts";

/** Something that must hold after a load. */
export interface Check {
  readonly name: string;
  readonly passed: boolean;
  /** The figures it was judged by. */
  readonly detail: string;
}

/** All that was read once the load was over. */
export interface Aftermath {
  readonly allPaidInTime: boolean;
  /** By the services' word. */
  readonly orders: readonly Order[];
  /** By the records themselves. */
  readonly books: Books;
  /** Processes that are not the ones that were there before the load. */
  readonly restarted: readonly string[];
}

// What a shopper meets who buys again before the order before has been cleared from the cart.
const expectedFailure = /^(QuoteCheckout|PlaceOrder) FAILED_PRECONDITION (PRICE_CHANGED|CART_EMPTY)$/;

/** Checks what must always be true, whatever the load was. */
export function audit(load: LoadResult, aftermath: Aftermath): readonly Check[] {
  const { books, restarted } = aftermath;
  return [
    checkAcknowledged(load, aftermath),
    checkPaid(aftermath),
    ...auditBooks(books, nobodysWord)
      .filter(({ checked }) => checked > 0)
      .map(({ what, checked, violations }) => ({
        name: what,
        passed: violations.length === 0,
        detail: [`${checked} checked`, ...violations.slice(0, maxShown)].join("; "),
      })),
    checkFailures(load),
    {
      name: "no process ended",
      passed: restarted.length === 0,
      detail: restarted.length === 0 ? "all are those of the start" : `new: ${restarted.join(", ")}`,
    },
  ];
}

// What the shoppers were told is checked above.
const nobodysWord: BuyersWord = { acknowledged: [], asked: new Set(), replays: [] };
const maxShown = 5;

function checkAcknowledged({ accepted }: LoadResult, { orders }: Aftermath): Check {
  const known = new Set(orders.map(({ id }) => id));
  const missing = accepted.filter(({ orderId }) => !known.has(orderId)).length;
  const different = new Set(accepted.map(({ orderId }) => orderId)).size;
  return {
    name: "every acknowledged order exists, and is a different one",
    passed: accepted.length > 0 && missing === 0 && different === accepted.length,
    detail: `${accepted.length} acknowledged, ${different} different, ${missing} missing, ${orders.length} there`,
  };
}

function checkPaid({ allPaidInTime, orders }: Aftermath): Check {
  const paid = orders.filter(({ state }) => state === Order_State.PAID).length;
  return {
    name: "every order is PAID",
    passed: allPaidInTime && paid === orders.length,
    detail: `${paid} of ${orders.length}`,
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
