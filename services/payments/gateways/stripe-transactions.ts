import type Stripe from "stripe";
import type { Done, Open, Transaction, TransactionPage } from "../payment-gateway.ts";
import { fromStripeAmount } from "./stripe-amounts.ts";
import { type Records, unread } from "./stripe-look-up.ts";
import { isExpiry, isMoneyBack } from "./stripe-records.ts";

const TYPES = [
  "payment_intent.amount_capturable_updated",
  "payment_intent.succeeded",
  "payment_intent.canceled",
  "refund.created",
];
const PAGE = 100;
/** Stripe keeps its events for 30 days. */
const KEPT_S = 30 * 24 * 60 * 60;
/** How much time is read as one. */
const WINDOW_S = 24 * 60 * 60;
/** What is younger is left for the next time: an event may come to be a little after the one that came after it. */
const SETTLED_S = 15;

/** Which part of the time is being read: whole seconds since 1970, both included; and where in it, newest first. */
interface Cursor {
  readonly from: number;
  readonly to: number | undefined;
  readonly startingAfter: string | undefined;
}

/**
 * What moved, from Stripe's events. Its lists are newest first, and so can only be followed by time: window by window,
 * each closed before it is read, and each from page to page.
 */
export async function listTransactions(
  { stripe, clock }: Records,
  after: string | undefined,
): Promise<Done<TransactionPage> | Open> {
  const now = Math.floor(clock.now().getTime() / 1_000);
  const cursor =
    after === undefined ? { from: now - KEPT_S, to: undefined, startingAfter: undefined } : readCursor(after);
  const { from, startingAfter } = cursor;
  const to = cursor.to ?? Math.min(from + WINDOW_S, now - SETTLED_S);
  if (to < from) return { kind: "ok", value: { transactions: [], cursor: after, more: false } };
  try {
    const page = await stripe.events.list({
      created: { gte: from, lte: to },
      types: TYPES,
      limit: PAGE,
      ...(startingAfter !== undefined && { starting_after: startingAfter }),
    });
    const last = page.data.at(-1)?.id;
    const next = page.has_more && last !== undefined ? { from, to, startingAfter: last } : { from: to + 1 };
    const transactions = page.data.toReversed().flatMap((event) => transactionOf(event) ?? []);
    const more = "to" in next || to + 1 <= now - SETTLED_S;
    return { kind: "ok", value: { transactions, cursor: writeCursor(next), more } };
  } catch (error) {
    const open = unread(error);
    if (open.kind !== "refused") return open;
    // The event that the page was to begin after is gone, for its age: the window is read anew, as far as it is there.
    return { kind: "ok", value: { transactions: [], cursor: String(from), more: true } };
  }
}

const CURSOR = /^(\d{1,12})(?:-(\d{1,12})-(\w{1,255}))?$/;

function readCursor(text: string): Cursor {
  const [, from, to, startingAfter] = CURSOR.exec(text) ?? [];
  if (from === undefined) throw new Error("this is no cursor of Stripe's adapter");
  return { from: Number(from), to: to === undefined ? undefined : Number(to), startingAfter };
}

function writeCursor({ from, to, startingAfter }: Partial<Cursor>): string {
  return startingAfter === undefined ? String(from) : `${from}-${to}-${startingAfter}`;
}

/** What an event says that moved; undefined where nothing did. */
function transactionOf(event: Stripe.Event): Transaction | undefined {
  switch (event.type) {
    case "payment_intent.amount_capturable_updated":
      return event.data.object.status === "requires_capture" ? moved("AUTHORIZE", event.data.object) : undefined;
    case "payment_intent.succeeded":
      return moved("CAPTURE", event.data.object, event.data.object.amount_received);
    case "payment_intent.canceled": {
      // One that never was authorized held nothing, and time that ran out is nobody's doing.
      const { latest_charge: charge, last_payment_error: failure, cancellation_reason: reason } = event.data.object;
      const isVoid = charge !== null && failure === null && !isExpiry(reason);
      return isVoid ? moved("VOID", event.data.object) : undefined;
    }
    case "refund.created": {
      const { object: refund } = event.data;
      const reference = typeof refund.payment_intent === "object" ? refund.payment_intent?.id : refund.payment_intent;
      return isMoneyBack(refund) && reference !== undefined ? moved("REFUND", { ...refund, id: reference }) : undefined;
    }
    default:
      return undefined;
  }
}

function moved(
  kind: Transaction["kind"],
  { id, amount, currency }: { readonly id: string; readonly amount: number; readonly currency: string },
  moving: number = amount,
): Transaction {
  const currencyCode = currency.toUpperCase();
  return { kind, authorizationReference: id, currencyCode, amount: fromStripeAmount(moving, currencyCode) };
}
