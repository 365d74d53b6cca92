import { type Account, type Charge, giveBack, type Intent, keep, letGo, tell } from "./account.ts";
import { type Params, textOf, textsOf } from "./forms.ts";
import { invalid, missing, StripeFault } from "./replies.ts";

/** What stands behind Stripe's test tokens, as far as they are used here. */
interface Card {
  readonly decline?: { readonly code: string; readonly decline_code?: string };
  /** Asks the buyer to confirm with their bank. */
  readonly wantsAction?: boolean;
  /** Does so even for who said that it must fail instead; a token of this fake's own. */
  readonly insists?: boolean;
}

const CARDS: Readonly<Record<string, Card>> = {
  pm_card_visa: {},
  pm_card_chargeDeclined: { decline: { code: "card_declined", decline_code: "generic_decline" } },
  pm_card_chargeDeclinedInsufficientFunds: { decline: { code: "card_declined", decline_code: "insufficient_funds" } },
  pm_card_chargeDeclinedLostCard: { decline: { code: "card_declined", decline_code: "lost_card" } },
  pm_card_chargeDeclinedExpiredCard: { decline: { code: "expired_card" } },
  pm_card_authenticationRequired: { wantsAction: true },
  pm_card_insistsOnAction: { wantsAction: true, insists: true },
};

/** What becomes of an attempt that wants the buyer, where that must make it fail. */
const NOT_HANDLED = { code: "card_declined", decline_code: "authentication_not_handled" };

/** Seven days, as for most cards. */
const HOLD_S = 7 * 24 * 60 * 60;
const MIN_AMOUNT = 50;
const MAX_AMOUNT = 99_999_999;

interface Wanted {
  readonly amount: number;
  readonly currency: string;
  readonly card: Card;
  readonly metadata: Readonly<Record<string, string>>;
}

const CREATE_PARAMS =
  "amount currency payment_method allowed_payment_method_types capture_method confirm error_on_requires_action metadata expand";

/** Reads a request for a confirmed PaymentIntent with capture by hand: the one kind that is offered here. */
export function readCreate(params: Params): Wanted {
  onlyKnown(params, CREATE_PARAMS);
  const amount = readAmount(textOf(params, "amount"), "amount");
  if (amount < MIN_AMOUNT)
    throw invalid("Amount must be at least 50 cents", { code: "amount_too_small", param: "amount" });
  if (amount > MAX_AMOUNT)
    throw invalid("Amount must be no more than €999,999.99", { code: "amount_too_large", param: "amount" });
  const fixed = { capture_method: "manual", confirm: "true", error_on_requires_action: "true" };
  for (const [name, value] of Object.entries(fixed)) {
    if (textOf(params, name) !== value) throw invalid(`this fake wants ${name}=${value}`, { param: name });
  }
  const currency = textOf(params, "currency");
  if (currency !== "eur") throw invalid(`Invalid currency: ${currency}`, { param: "currency" });
  const token = textOf(params, "payment_method") ?? "";
  const card = CARDS[token];
  if (card === undefined) throw missing("PaymentMethod", token, "payment_method");
  return { amount, currency, card, metadata: textsOf(params, "metadata") };
}

/** Makes and confirms a PaymentIntent. Throws the card's no, which is kept with the intent. */
export function create(account: Account, { amount, currency, card, metadata }: Wanted): Intent {
  const id = account.newId("pi");
  const intent: Intent = {
    ...{ id, object: "payment_intent", amount, amount_capturable: 0, amount_received: 0, cancellation_reason: null },
    ...{ capture_method: "manual", client_secret: `${id}_secret_do_not_keep`, created: account.now(), currency },
    ...{ last_payment_error: null, latest_charge: null, metadata, status: "requires_confirmation" },
  };
  if (card.wantsAction === true && card.insists === true)
    return keep(account.intents, { ...intent, status: "requires_action" });
  const decline = card.wantsAction === true ? NOT_HANDLED : card.decline;
  const charge = keep<Charge>(account.charges, {
    ...{ id: account.newId("ch"), object: "charge", amount, amount_captured: 0, amount_refunded: 0, captured: false },
    ...{ created: account.now(), currency, payment_intent: id },
    payment_method_details: {
      card: { last4: "4242", ...(decline === undefined && { capture_before: account.now() + HOLD_S }) },
    },
    status: decline === undefined ? "succeeded" : "failed",
  });
  const confirmed = { ...intent, latest_charge: charge.id };
  if (decline === undefined) {
    const held = { ...confirmed, amount_capturable: amount, status: "requires_capture" };
    return tell(account, "payment_intent.amount_capturable_updated", account.intents, held);
  }
  const failed = keep(account.intents, {
    ...confirmed,
    last_payment_error: decline,
    status: "requires_payment_method",
  });
  throw new StripeFault(402, "Your card was declined.", {
    type: "card_error",
    ...decline,
    charge: charge.id,
    payment_intent: failed,
  });
}

/** Takes what is set aside, or a part, once. */
export function capture(account: Account, id: string, params: Params): Intent {
  onlyKnown(params, "amount_to_capture metadata");
  const intent = intentOf(account, id);
  if (intent.status !== "requires_capture") throw unexpectedState(intent, "captured");
  const amount = readAmount(textOf(params, "amount_to_capture") ?? String(intent.amount), "amount_to_capture");
  if (amount > intent.amount_capturable) {
    const details = { code: "amount_too_large", param: "amount_to_capture", payment_intent: intent };
    throw new StripeFault(400, "The amount is greater than what can be captured.", details);
  }
  const held = account.charges.get(intent.latest_charge ?? "");
  if (held === undefined) throw new Error("an intent that can be captured has no charge");
  const charge = keep(account.charges, { ...held, captured: true, amount_captured: amount });
  const rest = charge.amount - amount;
  if (rest > 0) giveBack(account, charge, { amount: rest, metadata: {}, movesMoney: false });
  return tell(account, "payment_intent.succeeded", account.intents, {
    ...intent,
    ...{ amount_capturable: 0, amount_received: amount, status: "succeeded" },
    metadata: { ...intent.metadata, ...textsOf(params, "metadata") },
  });
}

/** Lets go what is set aside, or ends what was never set aside. */
export function cancel(account: Account, id: string, params: Params): Intent {
  onlyKnown(params, "cancellation_reason");
  const intent = intentOf(account, id);
  if (intent.status === "canceled" || intent.status === "succeeded") throw unexpectedState(intent, "canceled");
  return letGo(account, intent, textOf(params, "cancellation_reason") ?? null);
}

export function intentOf(account: Account, id: string): Intent {
  const intent = account.intents.get(id);
  if (intent === undefined) throw missing("payment_intent", id, "intent");
  return intent;
}

function unexpectedState(intent: Intent, what: string): StripeFault {
  const message = `This PaymentIntent could not be ${what} because it has a status of ${intent.status}.`;
  return new StripeFault(400, message, { code: "payment_intent_unexpected_state", payment_intent: intent });
}

/** A whole number of 1 or more. */
export function readAmount(value: string | undefined, param: string): number {
  if (value === undefined) throw invalid(`Missing required param: ${param}.`, { code: "parameter_missing", param });
  const amount = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(amount) || amount < 1)
    throw invalid(`Invalid integer: ${value}`, { code: "parameter_invalid_integer", param });
  return amount;
}

/** Throws at a parameter that Stripe does not know. */
export function onlyKnown(params: Params, known: string): void {
  const names = known.split(" ");
  for (const param of Object.keys(params)) {
    if (!names.includes(param))
      throw invalid(`Received unknown parameter: ${param}`, { code: "parameter_unknown", param });
  }
}
