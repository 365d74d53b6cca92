import {
  type Authorization,
  apply,
  capturableAmount,
  capturedAmount,
  type Movement,
  type Refusal,
  type RefusalCode,
  refundedAmount,
  stateOf,
} from "./domain.ts";
import type { Answer, OperationRecord } from "./records.ts";

/** What a POST answers for what it did: the thing that came to be, or the authorization that was voided. */
export function eventAnswer(before: Authorization | undefined, event: Movement, now: Date): Answer {
  switch (event.type) {
    case "authorized":
      return { status: 201, body: authorizationView(apply(before, event), now) };
    case "voided":
      return { status: 200, body: authorizationView(apply(before, event), now) };
    case "captured":
    case "refunded": {
      const { id, authorization_id, capture_id, amount, currency, create_time } = transactionView(event);
      return { status: 201, body: { id, authorization_id, capture_id, amount, currency, create_time } };
    }
  }
}

export function refusalAnswer({ code, message }: Refusal): Answer {
  return { status: refusalStatus[code], body: errorBody(code, message) };
}

/** The body of every failed request. */
export function errorBody(code: string, message: string): { readonly error: { code: string; message: string } } {
  return { error: { code, message } };
}

export function authorizationView(authorization: Authorization, now: Date): unknown {
  const { id, amount, currency, reference, createTime, expireTime, voidTime, captures } = authorization;
  const refunded = captures.reduce((sum, capture) => sum + refundedAmount(capture), 0n);
  return {
    id,
    state: stateOf(authorization, now),
    reference,
    currency,
    amount: amount.toString(),
    capturable_amount: capturableAmount(authorization, now).toString(),
    captured_amount: capturedAmount(authorization).toString(),
    refunded_amount: refunded.toString(),
    create_time: createTime.toISOString(),
    expire_time: expireTime.toISOString(),
    void_time: voidTime?.toISOString(),
    captures: captures.map((capture) => ({
      id: capture.id,
      amount: capture.amount.toString(),
      refunded_amount: refundedAmount(capture).toString(),
      create_time: capture.createTime.toISOString(),
      refunds: capture.refunds.map((refund) => ({
        id: refund.id,
        amount: refund.amount.toString(),
        create_time: refund.createTime.toISOString(),
      })),
    })),
  };
}

/** One movement of money, as reconciliation sees it. */
export function transactionView(event: Movement) {
  return {
    id: event.id,
    type: transactionType[event.type],
    authorization_id: event.authorizationId,
    capture_id: event.type === "refunded" ? event.captureId : undefined,
    reference: event.reference,
    currency: event.currency,
    amount: event.amount.toString(),
    create_time: event.time.toISOString(),
  };
}

export function operationView({ idempotencyKey, operation, time, answer }: OperationRecord): unknown {
  return {
    idempotency_key: idempotencyKey,
    operation,
    create_time: time.toISOString(),
    status: answer.status,
    answer: answer.body,
  };
}

const transactionType: Readonly<Record<Movement["type"], string>> = {
  authorized: "authorization",
  captured: "capture",
  voided: "void",
  refunded: "refund",
};

const refusalStatus: Readonly<Record<RefusalCode, number>> = {
  invalid_token: 400,
  card_declined: 402,
  insufficient_funds: 402,
  authorization_not_found: 404,
  capture_not_found: 404,
  authorization_voided: 409,
  authorization_expired: 409,
  authorization_captured: 409,
  capture_exceeds_authorized: 409,
  refund_exceeds_captured: 409,
  too_many_captures: 409,
  too_many_refunds: 409,
};
