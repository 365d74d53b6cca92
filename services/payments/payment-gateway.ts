/**
 * What payments wants of a payment gateway, whichever it is. Every change carries a key of ours: the same key never
 * does a thing twice, and `lookUp` tells what a key did. An adapter keeps to `testing/gateway-contract.ts`.
 */
export interface PaymentGateway {
  /** Its name in the contract: `simulator`, `stripe`. */
  readonly name: string;
  /**
   * How long after a request was sent it has taken effect or never will, and `lookUp` tells which: our own time limit for
   * requests, and what the gateway needs to write down what it has taken in.
   */
  readonly settledAfterMs: number;
  /** Sets money aside. What the gateway does not take is declined, never refused. */
  authorize(request: AuthorizeRequest): Promise<Done<Authorization> | Declined | Open>;
  /** Takes money that was set aside, all or a part, once; the rest is let go. */
  capture(request: CaptureRequest): Promise<Answer<Effect>>;
  /** Lets go money that was set aside; ok, too, where somebody did so before. */
  void(request: VoidRequest): Promise<Answer<Effect>>;
  /** Gives back money that was taken, all or a part, as often as some is left. */
  refund(request: RefundRequest): Promise<Answer<Effect>>;
  /**
   * What an operation came to, without doing it; `absent` when the gateway has no trace of its key so far, and it can still
   * come about.
   */
  lookUp(operation: Operation): Promise<Answer<Effect & Partial<Authorization>> | Absent>;
  /** Where an authorization stands now; `absent` when the gateway has none of this name. */
  find(authorizationReference: string): Promise<Answer<AuthorizationRecord> | Absent>;
  /**
   * What moved by the gateway's books, in about the order in which it came to be: the page after a cursor, which is that
   * of an earlier page, or undefined for the very first. What came to be is on some page within seconds, and on none
   * that was read before; it may be on two. Never more than `MAX_PAGE_TRANSACTIONS`.
   */
  listTransactions(after: string | undefined): Promise<Done<TransactionPage> | Open>;
  /**
   * The event in a webhook, when the signature is the gateway's and fresh; undefined otherwise. What it names has the
   * form of the gateway's ids, so that it can be asked for: a signed body that is no such event is `unreadable`.
   */
  parseWebhook(signature: string, body: Uint8Array, now: Date): WebhookEvent | "unreadable" | undefined;
}

/** How a request ended. */
export type Answer<Value> = Done<Value> | Declined | Refused | Open;

export interface Done<Value> {
  readonly kind: "ok";
  readonly value: Value;
}

/** The bank said no, for good. The code is one that the contract names (error_reason.proto). */
export interface Declined {
  readonly kind: "declined";
  readonly code: string;
}

/** The gateway's own record does not allow it, for good. The code is the gateway's. */
export interface Refused {
  readonly kind: "refused";
  readonly code: string;
  /** Where the authorization stands, when the refusal tells. */
  readonly status: AuthorizationStatus | undefined;
}

/** There is no outcome yet. The same key may be tried again, and no other. */
export interface Open {
  /**
   * `retryable`: this attempt did nothing, for it could not be made or was turned away; an earlier one under the same key
   * may have. `unknown`: nobody knows whether it happened.
   */
  readonly kind: "retryable" | "unknown";
  /** For the log; it never holds a token, a key or a text of the gateway's that might. */
  readonly because: string;
}

/** Whether an answer leaves the outcome open. */
export function isOpen(answer: { readonly kind: string }): answer is Open {
  return answer.kind === "retryable" || answer.kind === "unknown";
}

export interface Absent {
  readonly kind: "absent";
}

export type AuthorizationStatus = "AUTHORIZED" | "CAPTURED" | "VOIDED" | "EXPIRED";

/** What names an operation at the gateway. */
interface Keyed {
  readonly key: string;
  /** When it was first asked for. Gateways forget their keys in time, and must not take an old one for a new one. */
  readonly firstAskedTime: Date;
}

export interface AuthorizeRequest extends Keyed {
  readonly amount: bigint;
  readonly currencyCode: string;
  readonly paymentToken: string;
  /** Our name for it: the order. */
  readonly reference: string;
}

export interface CaptureRequest extends Keyed {
  readonly authorizationReference: string;
  readonly amount: bigint;
  readonly currencyCode: string;
}

export interface VoidRequest extends Keyed {
  readonly authorizationReference: string;
}

/** How often a capture can be refunded at least: what orders asks for at most. */
export const MAX_REFUNDS = 50;

export interface RefundRequest extends Keyed {
  readonly captureReference: string;
  readonly amount: bigint;
  readonly currencyCode: string;
}

/** An operation as it can be found again: by its key, and by what it was about. */
export type Operation = Keyed &
  /** When it was last about to be asked for: a gateway may have to look for it by time. */
  (
    | { readonly kind: "AUTHORIZE"; readonly lastAskedTime: Date }
    | { readonly kind: "CAPTURE" | "VOID"; readonly authorizationReference: string }
    | { readonly kind: "REFUND"; readonly captureReference: string }
  );

/** The gateway's id of what came to be. */
export interface Effect {
  readonly reference: string;
}

export interface Authorization extends Effect {
  /** When it lapses unless it is captured. */
  readonly expireTime: Date;
}

/** An authorization by the gateway's books; amounts in minor units. */
export interface AuthorizationRecord {
  readonly status: AuthorizationStatus;
  readonly currencyCode: string;
  readonly amount: bigint;
  readonly captured: bigint;
  readonly refunded: bigint;
  /** The gateway's id of the capture, when there is one. */
  readonly captureReference: string | undefined;
  /** What we called it: the order. Empty when it was not asked for by us. */
  readonly ourReference: string;
}

/** How many transactions a page holds at most. */
export const MAX_PAGE_TRANSACTIONS = 500;

export interface TransactionPage {
  readonly transactions: readonly Transaction[];
  /** Where to go on, now or later; undefined while there was never anything. */
  readonly cursor: string | undefined;
  /** Whether there is another page already. */
  readonly more: boolean;
}

/** Something that moved money, or set it aside, or let it go. */
export interface Transaction {
  readonly kind: Operation["kind"];
  readonly authorizationReference: string;
  readonly currencyCode: string;
  readonly amount: bigint;
}

export interface WebhookEvent {
  readonly id: string;
  /** Which authorization it is about; undefined when about none. */
  readonly authorizationReference: string | undefined;
}
