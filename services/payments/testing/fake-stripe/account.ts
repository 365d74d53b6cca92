import type { Clock } from "#mesh/clock.ts";

export interface Intent {
  readonly id: string;
  readonly object: "payment_intent";
  readonly amount: number;
  readonly amount_capturable: number;
  readonly amount_received: number;
  readonly cancellation_reason: string | null;
  readonly capture_method: "manual";
  /** Whoever has it can go on with the payment; it must never be kept or logged. */
  readonly client_secret: string;
  readonly created: number;
  readonly currency: string;
  readonly last_payment_error: { readonly code: string; readonly decline_code?: string } | null;
  readonly latest_charge: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly status: string;
}

export interface Charge {
  readonly id: string;
  readonly object: "charge";
  readonly amount: number;
  readonly amount_captured: number;
  readonly amount_refunded: number;
  readonly captured: boolean;
  readonly created: number;
  readonly currency: string;
  readonly payment_intent: string;
  readonly payment_method_details: { readonly card: { readonly last4: string; readonly capture_before?: number } };
  readonly status: "succeeded" | "failed";
}

export interface Refund {
  readonly id: string;
  readonly object: "refund";
  readonly amount: number;
  /** Null where no money moved: what a capture in part or a cancellation let go is listed as a refund, too. */
  readonly balance_transaction: string | null;
  readonly charge: string;
  readonly created: number;
  readonly currency: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly payment_intent: string;
  readonly status: string;
}

/** What happened, with the object as it was then. */
export interface StripeEvent {
  readonly id: string;
  readonly object: "event";
  readonly created: number;
  readonly type: string;
  readonly data: { readonly object: Intent | Refund };
}

/** All that one account has, in the order in which it came to be. */
export interface Account {
  readonly intents: Map<string, Intent>;
  readonly charges: Map<string, Charge>;
  readonly refunds: Map<string, Refund>;
  readonly events: Map<string, StripeEvent>;
  /** Now, in whole seconds since 1970, as Stripe tells the time. */
  now(): number;
  newId(prefix: string): string;
}

export function openAccount(clock: Clock): Account {
  let count = 0;
  return {
    intents: new Map(),
    charges: new Map(),
    refunds: new Map(),
    events: new Map(),
    now: () => Math.floor(clock.now().getTime() / 1_000),
    newId: (prefix) => {
      count += 1;
      return `${prefix}_fake${String(count).padStart(8, "0")}`;
    },
  };
}

/** Keeps what changed, and gives it back. */
export function keep<Item extends { readonly id: string }>(items: Map<string, Item>, item: Item): Item {
  items.set(item.id, item);
  return item;
}

/** Keeps what changed, tells of it, and gives it back. */
export function tell<Item extends Intent | Refund>(
  account: Account,
  type: string,
  items: Map<string, Item>,
  item: Item,
): Item {
  const event: StripeEvent = {
    id: account.newId("evt"),
    object: "event",
    created: account.now(),
    type,
    data: { object: item },
  };
  keep(account.events, event);
  return keep(items, item);
}

/** Writes a refund and adds it to its charge. */
export function giveBack(
  account: Account,
  charge: Charge,
  refund: Pick<Refund, "amount" | "metadata"> & { readonly movesMoney: boolean },
): Refund {
  keep(account.charges, { ...charge, amount_refunded: charge.amount_refunded + refund.amount });
  return tell(account, "refund.created", account.refunds, {
    id: account.newId("re"),
    object: "refund",
    amount: refund.amount,
    balance_transaction: refund.movesMoney ? account.newId("txn") : null,
    charge: charge.id,
    created: account.now(),
    currency: charge.currency,
    metadata: refund.metadata,
    payment_intent: charge.payment_intent,
    status: "succeeded",
  });
}

/** Lets a hold go: `reason` is what Stripe gives where it was time, and null where somebody asked for it. */
export function letGo(account: Account, intent: Intent, reason: string | null): Intent {
  const charge = account.charges.get(intent.latest_charge ?? "");
  if (charge?.status === "succeeded") {
    giveBack(account, charge, { amount: charge.amount, metadata: {}, movesMoney: false });
  }
  const ended = { ...intent, amount_capturable: 0, cancellation_reason: reason, status: "canceled" };
  return tell(account, "payment_intent.canceled", account.intents, ended);
}
