/**
 * What payments wants of a payment gateway, whichever it is. Every change carries a key of ours: the same key never
 * does a thing twice, and `lookUp` tells what a key did.
 */
export interface PaymentGateway {
  /** Its name in the contract: `simulator`. */
  readonly name: string;
  /**
   * How long after a request was sent it has taken effect or never will, and `lookUp` tells which: our own time limit for
   * requests, and what the gateway needs to write down what it has taken in.
   */
  readonly settledAfterMs: number;
  /** Sets money aside. */
  authorize(request: AuthorizeRequest): Promise<Answer<Authorization>>;
  /** Takes money that was set aside. */
  capture(request: CaptureRequest): Promise<Answer<Effect>>;
  /** Lets go money that was set aside. */
  void(request: VoidRequest): Promise<Answer<Effect>>;
  /** Gives back money that was taken. */
  refund(request: RefundRequest): Promise<Answer<Effect>>;
  /** What the authorization under this key came to; `absent` when the gateway has not heard of the key so far. */
  lookUp(key: string): Promise<Answer<Authorization> | { readonly kind: "absent" }>;
  /** Where an authorization stands now. */
  find(authorizationReference: string): Promise<Answer<{ readonly status: AuthorizationStatus }>>;
  /** The event in a webhook, when the signature is the gateway's and fresh; undefined otherwise. */
  parseWebhook(signature: string, body: Uint8Array, now: Date): WebhookEvent | undefined;
}

/** How a request ended. */
export type Answer<Value> =
  | { readonly kind: "ok"; readonly value: Value }
  /** The bank said no, for good. */
  | { readonly kind: "declined"; readonly code: string }
  /** The gateway's own record does not allow it, for good. */
  | { readonly kind: "refused"; readonly code: string; readonly status: AuthorizationStatus | undefined }
  /** Nobody knows whether it happened: no answer, or an error. The same key may be tried again. */
  | { readonly kind: "unknown"; readonly because: string };

export type AuthorizationStatus = "AUTHORIZED" | "CAPTURED" | "VOIDED" | "EXPIRED";

export interface AuthorizeRequest {
  readonly key: string;
  readonly amount: bigint;
  readonly currencyCode: string;
  readonly paymentToken: string;
  /** Our name for it: the order. */
  readonly reference: string;
}

export interface CaptureRequest {
  readonly key: string;
  readonly authorizationReference: string;
  readonly amount: bigint;
}

export interface VoidRequest {
  readonly key: string;
  readonly authorizationReference: string;
}

export interface RefundRequest {
  readonly key: string;
  readonly captureReference: string;
  readonly amount: bigint;
}

/** The gateway's id of what came to be. */
export interface Effect {
  readonly reference: string;
}

export interface Authorization extends Effect {
  readonly expireTime: Date;
}

export interface WebhookEvent {
  readonly id: string;
  /** Which authorization it is about; undefined when about none. */
  readonly authorizationReference: string | undefined;
}
