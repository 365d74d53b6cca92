import { fail, ok, type Result } from "#mesh/result.ts";

/** Captures that one authorization can have; a longer history than any merchant's needs no unbounded record. */
const MAX_CAPTURES = 20;
/** Refunds that one capture can have. */
const MAX_REFUNDS_PER_CAPTURE = 50;

/** How the gateway's answers about an authorization reach the caller. The payment token decides it, once for all. */
export type Delivery = "prompt" | "slow" | "unreliable";

export interface Authorization {
  readonly id: string;
  /** Minor units of `currency`, more than 0. */
  readonly amount: bigint;
  readonly currency: string;
  /** The merchant's own name for the payment. */
  readonly reference: string;
  readonly delivery: Delivery;
  readonly createTime: Date;
  /** From this moment on nothing more can be captured. */
  readonly expireTime: Date;
  readonly voidTime: Date | undefined;
  readonly captures: readonly Capture[];
}

export interface Capture {
  readonly id: string;
  readonly amount: bigint;
  readonly createTime: Date;
  readonly refunds: readonly Refund[];
}

export interface Refund {
  readonly id: string;
  readonly amount: bigint;
  readonly createTime: Date;
}

/** What a merchant can ask for. An amount that is left out stands for all that is left. */
export type Command =
  | {
      readonly operation: "authorize";
      readonly amount: bigint;
      readonly currency: string;
      readonly paymentToken: string;
      readonly reference: string;
    }
  | { readonly operation: "capture"; readonly authorizationId: string; readonly amount: bigint | undefined }
  | { readonly operation: "void"; readonly authorizationId: string }
  | { readonly operation: "refund"; readonly captureId: string; readonly amount: bigint | undefined };

interface Happened {
  /** The id of what came to be: an authorization, a capture, a refund; a void has the id of its authorization. */
  readonly id: string;
  readonly authorizationId: string;
  readonly reference: string;
  readonly currency: string;
  readonly amount: bigint;
  readonly time: Date;
}

/** What happened to a payment. The history of an authorization is all there is to know of it. */
export type PaymentEvent =
  | (Happened & { readonly type: "authorized"; readonly expireTime: Date; readonly delivery: Delivery })
  | (Happened & { readonly type: "captured" })
  | (Happened & { readonly type: "voided" })
  | (Happened & { readonly type: "refunded"; readonly captureId: string })
  /** What was left of an authorization can no longer be captured; no money moves. */
  | (Happened & { readonly type: "expired" });

/** An event that moved money. */
export type Movement = Exclude<PaymentEvent, { readonly type: "expired" }>;

export type RefusalCode =
  | "invalid_token"
  | "card_declined"
  | "insufficient_funds"
  | "authorization_not_found"
  | "authorization_voided"
  | "authorization_expired"
  | "authorization_captured"
  | "capture_not_found"
  | "capture_exceeds_authorized"
  | "refund_exceeds_captured"
  | "too_many_captures"
  | "too_many_refunds";

export interface Refusal {
  readonly code: RefusalCode;
  readonly message: string;
}

export interface Circumstances {
  readonly now: Date;
  /** The id that a new authorization gets: `auth_` and 32 hexadecimal digits. */
  readonly newAuthorizationId: string;
  readonly authorizationLifetimeMs: number;
}

/**
 * Decides what a command does, or why it does nothing. Nothing is applied.
 *
 * @param authorization the one that the command is about (see `subjectOf`); undefined when there is none
 */
export function decide(
  authorization: Authorization | undefined,
  command: Command,
  circumstances: Circumstances,
): Result<Movement, Refusal> {
  switch (command.operation) {
    case "authorize":
      return decideAuthorize(command, circumstances);
    case "capture":
      return authorization === undefined
        ? refuse("authorization_not_found", `There is no authorization ${command.authorizationId}.`)
        : decideCapture(authorization, command.amount, circumstances.now);
    case "void":
      return authorization === undefined
        ? refuse("authorization_not_found", `There is no authorization ${command.authorizationId}.`)
        : decideVoid(authorization, circumstances.now);
    case "refund":
      return decideRefund(authorization, command, circumstances.now);
  }
}

/** The authorization after an event. The event must have been decided on this very state. */
export function apply(authorization: Authorization | undefined, event: PaymentEvent): Authorization {
  if (event.type === "authorized") {
    const { id, amount, currency, reference, delivery, time: createTime, expireTime } = event;
    return { id, amount, currency, reference, delivery, createTime, expireTime, voidTime: undefined, captures: [] };
  }
  if (authorization === undefined) throw new Error(`${event.type} ${event.id} has no authorization before it`);
  switch (event.type) {
    case "captured": {
      const capture: Capture = { id: event.id, amount: event.amount, createTime: event.time, refunds: [] };
      return { ...authorization, captures: [...authorization.captures, capture] };
    }
    case "voided":
      return { ...authorization, voidTime: event.time };
    case "expired":
      // The time alone decides, whenever it is noted.
      return authorization;
    case "refunded": {
      const refund: Refund = { id: event.id, amount: event.amount, createTime: event.time };
      const captures = authorization.captures.map((capture) =>
        capture.id === event.captureId ? { ...capture, refunds: [...capture.refunds, refund] } : capture,
      );
      return { ...authorization, captures };
    }
  }
}

/** The id of the authorization that a command is about; undefined for a new one or an id that is none of ours. */
export function subjectOf(command: Command): string | undefined {
  if (command.operation === "authorize") return undefined;
  if (command.operation !== "refund") return command.authorizationId;
  const suffix = /^cap_([0-9a-f]{32})_[0-9]{1,2}$/.exec(command.captureId)?.[1];
  return suffix === undefined ? undefined : `auth_${suffix}`;
}

/** What stands behind a payment token, or undefined for a token the gateway does not know. */
export function cardOf(paymentToken: string): Card | undefined {
  return cards.get(paymentToken);
}

/** Minor units captured in all. */
export function capturedAmount(authorization: Authorization): bigint {
  return authorization.captures.reduce((sum, { amount }) => sum + amount, 0n);
}

/** Minor units of a capture that were given back. */
export function refundedAmount(capture: Capture): bigint {
  return capture.refunds.reduce((sum, { amount }) => sum + amount, 0n);
}

/** Minor units that can still be captured; 0 once voided or expired. */
export function capturableAmount(authorization: Authorization, now: Date): bigint {
  if (authorization.voidTime !== undefined || now >= authorization.expireTime) return 0n;
  return authorization.amount - capturedAmount(authorization);
}

export type AuthorizationState = "authorized" | "partially_captured" | "captured" | "voided" | "expired";

/** Where an authorization stands. One that was captured in part stays so when the rest expires. */
export function stateOf(authorization: Authorization, now: Date): AuthorizationState {
  if (authorization.voidTime !== undefined) return "voided";
  const captured = capturedAmount(authorization);
  if (captured === authorization.amount) return "captured";
  if (captured > 0n) return "partially_captured";
  return now >= authorization.expireTime ? "expired" : "authorized";
}

/**
 * Whether the first attempt under an idempotency key, on an unreliable card, fails before its effect or after it.
 * Half of all keys do the one and half the other, and a key always does the same (FNV-1a, 32 bit).
 */
export function failsBeforeEffect(idempotencyKey: string): boolean {
  let hash = 0x811c9dc5;
  for (let index = 0; index < idempotencyKey.length; index++) {
    hash = Math.imul(hash ^ idempotencyKey.charCodeAt(index), 0x01000193);
  }
  // The lowest bit of this hash is no more than the parity of the key's characters: take one from the middle.
  return ((hash >>> 15) & 1) === 0;
}

interface Card {
  readonly decline?: "card_declined" | "insufficient_funds";
  readonly delivery: Delivery;
}

const cards: ReadonlyMap<string, Card> = new Map<string, Card>([
  ["tok_visa", { delivery: "prompt" }],
  ["tok_declined", { delivery: "prompt", decline: "card_declined" }],
  ["tok_insufficient_funds", { delivery: "prompt", decline: "insufficient_funds" }],
  ["tok_slow", { delivery: "slow" }],
  ["tok_unreliable", { delivery: "unreliable" }],
]);

function decideAuthorize(
  command: Extract<Command, { operation: "authorize" }>,
  { now, newAuthorizationId: id, authorizationLifetimeMs }: Circumstances,
): Result<Movement, Refusal> {
  const card = cardOf(command.paymentToken);
  // The token itself is never repeated, not even in an error: errors end up in logs.
  if (card === undefined) return refuse("invalid_token", "The payment token is not known.");
  if (card.decline === "card_declined") return refuse("card_declined", "The card was declined.");
  if (card.decline === "insufficient_funds") return refuse("insufficient_funds", "The card has insufficient funds.");
  const { amount, currency, reference } = command;
  const expireTime = new Date(now.getTime() + authorizationLifetimeMs);
  const { delivery } = card;
  const happened = { id, authorizationId: id, reference, currency, amount, time: now };
  return ok({ type: "authorized", ...happened, expireTime, delivery });
}

function decideCapture(
  authorization: Authorization,
  requested: bigint | undefined,
  now: Date,
): Result<Movement, Refusal> {
  const { id, captures } = authorization;
  if (authorization.voidTime !== undefined) return refuse("authorization_voided", `${id} was voided.`);
  if (now >= authorization.expireTime) return refuse("authorization_expired", `${id} has expired.`);
  const left = capturableAmount(authorization, now);
  const amount = requested ?? left;
  if (left === 0n || amount > left) {
    return refuse("capture_exceeds_authorized", `Of ${id}, ${left} can still be captured.`);
  }
  if (captures.length >= MAX_CAPTURES)
    return refuse("too_many_captures", `${id} has ${MAX_CAPTURES} captures already.`);
  const captureId = `cap_${id.slice("auth_".length)}_${captures.length + 1}`;
  return ok({ type: "captured", ...happened(authorization, captureId, amount, now) });
}

function decideVoid(authorization: Authorization, now: Date): Result<Movement, Refusal> {
  const { id } = authorization;
  if (authorization.voidTime !== undefined) return refuse("authorization_voided", `${id} was voided already.`);
  if (authorization.captures.length > 0) {
    return refuse("authorization_captured", `${id} was captured: refund the capture instead.`);
  }
  if (now >= authorization.expireTime) return refuse("authorization_expired", `${id} has expired.`);
  return ok({ type: "voided", ...happened(authorization, id, authorization.amount, now) });
}

function decideRefund(
  authorization: Authorization | undefined,
  { captureId, amount: requested }: Extract<Command, { operation: "refund" }>,
  now: Date,
): Result<Movement, Refusal> {
  const capture = authorization?.captures.find(({ id }) => id === captureId);
  if (authorization === undefined || capture === undefined) {
    return refuse("capture_not_found", `There is no capture ${captureId}.`);
  }
  const left = capture.amount - refundedAmount(capture);
  const amount = requested ?? left;
  if (left === 0n || amount > left) {
    return refuse("refund_exceeds_captured", `Of ${captureId}, ${left} can still be refunded.`);
  }
  if (capture.refunds.length >= MAX_REFUNDS_PER_CAPTURE) {
    return refuse("too_many_refunds", `${captureId} has ${MAX_REFUNDS_PER_CAPTURE} refunds already.`);
  }
  const refundId = `ref_${captureId.slice("cap_".length)}_${capture.refunds.length + 1}`;
  return ok({ type: "refunded", captureId, ...happened(authorization, refundId, amount, now) });
}

function happened({ id, reference, currency }: Authorization, eventId: string, amount: bigint, time: Date): Happened {
  return { id: eventId, authorizationId: id, reference, currency, amount, time };
}

function refuse(code: RefusalCode, message: string): Result<never, Refusal> {
  return fail({ code, message });
}

/** The expiry of what is left of an authorization whose time has come. */
export function expiryOf(authorization: Authorization): PaymentEvent {
  const left = authorization.amount - capturedAmount(authorization);
  return { type: "expired", ...happened(authorization, authorization.id, left, authorization.expireTime) };
}
