import { createHmac, timingSafeEqual } from "node:crypto";
import {
  type Answer,
  type Authorization,
  type AuthorizationRecord,
  type AuthorizationStatus,
  type AuthorizeRequest,
  type Declined,
  type Done,
  type Effect,
  isOpen,
  MAX_PAGE_TRANSACTIONS,
  type Open,
  type PaymentGateway,
  type Transaction,
  type TransactionPage,
  type VoidRequest,
  type WebhookEvent,
} from "../payment-gateway.ts";
import { isEventId, readBody } from "./webhook-body.ts";

export interface SimulatorSettings {
  /** Where its API is: `http://127.0.0.1:8090`. */
  readonly url: string;
  readonly apiKey: string;
  /** With which it signs webhooks; without one, no signature is right. */
  readonly webhookSecret: string | undefined;
}

/** Longer than the slowest answer that a buyer would wait for; after it the outcome is unknown. */
const REQUEST_TIMEOUT_MS = 5_000;
/** A request that it has taken in is in its books within far less. */
const RECORDED_WITHIN_MS = 5_000;
/** A signature that is older is refused, so that an overheard event cannot be sent again later. */
const MAX_SIGNATURE_AGE_MS = 300_000;

/** The payment gateway simulator, over its HTTP API. */
export function simulatorGateway({ url, apiKey, webhookSecret }: SimulatorSettings): PaymentGateway {
  const send: Send = (path, key, body) => request({ url, apiKey }, path, key, body);
  return {
    name: "simulator",
    settledAfterMs: REQUEST_TIMEOUT_MS + RECORDED_WITHIN_MS,
    authorize: (asked) => authorize(send, asked),
    capture: async ({ key, authorizationReference, amount }) =>
      answerOf(
        await send(`${authorizationPath(authorizationReference)}/capture`, key, { amount: String(amount) }),
        effectOf,
      ),
    void: (asked) => letGo(send, asked),
    refund: async ({ key, captureReference, amount }) =>
      answerOf(
        await send(`/v1/captures/${encodeURIComponent(captureReference)}/refunds`, key, { amount: String(amount) }),
        effectOf,
      ),
    lookUp: ({ key, kind }) => lookUp(send, key, kind === "AUTHORIZE" ? authorizationOf : effectOf),
    find: async (authorizationReference) => {
      const reply = await send(authorizationPath(authorizationReference));
      return errorCode(reply) === "authorization_not_found" ? { kind: "absent" } : answerOf(reply, recordOf);
    },
    listTransactions: (after) => listTransactions(send, after),
    parseWebhook: (signature, body, now) =>
      webhookSecret === undefined ? undefined : parseWebhook(webhookSecret, signature, body, now),
  };
}

type Send = (path: string, key?: string, body?: object) => Promise<Reply>;

async function authorize(
  send: Send,
  { key, amount, currencyCode, paymentToken, reference }: AuthorizeRequest,
): Promise<Done<Authorization> | Declined | Open> {
  const body = { amount: String(amount), currency: currencyCode, payment_token: paymentToken, reference };
  const reply = await send("/v1/authorizations", key, body);
  // The same request with another token: what the first one came to counts.
  const answer =
    errorCode(reply) === KEY_REUSED ? await lookUp(send, key, authorizationOf) : answerOf(reply, authorizationOf);
  if (answer.kind === "absent")
    return { kind: "unknown", because: "the key was used, and what it did is not known yet" };
  if (answer.kind !== "refused") return answer;
  throw new Error(`the payment gateway refused an authorization, which it only ever declines: ${answer.code}`);
}

async function letGo(send: Send, { key, authorizationReference: reference }: VoidRequest): Promise<Answer<Effect>> {
  const answer = answerOf(await send(`${authorizationPath(reference)}/void`, key, {}), effectOf);
  return answer.kind === "refused" && answer.status === "VOIDED" ? { kind: "ok", value: { reference } } : answer;
}

/** What a key did is told as the answer that it had. */
async function lookUp<Value>(
  send: Send,
  key: string,
  read: (body: unknown) => Value,
): Promise<Answer<Value> | { readonly kind: "absent" }> {
  const reply = await send(`/v1/operations?idempotency_key=${encodeURIComponent(key)}`);
  if (errorCode(reply) === "operation_not_found") return { kind: "absent" };
  const found = answerOf(reply, (body) => body);
  if (found.kind !== "ok") return found;
  return answerOf({ status: Number(field(found.value, "status")), body: field(found.value, "answer") }, read);
}

interface Reply {
  /** The HTTP status; 0 when there was no answer. */
  readonly status: number;
  readonly body: unknown;
}

function authorizationPath(reference: string): string {
  return `/v1/authorizations/${encodeURIComponent(reference)}`;
}

/** One request; a POST when it has a body. A request without an answer has the status 0. */
async function request(
  { url, apiKey }: { readonly url: string; readonly apiKey: string },
  path: string,
  key: string | undefined,
  body: object | undefined,
): Promise<Reply> {
  try {
    const response = await fetch(url + path, {
      method: body === undefined ? "GET" : "POST",
      headers: {
        authorization: `Bearer ${apiKey}`,
        ...(key !== undefined && { "idempotency-key": key }),
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      redirect: "error",
    });
    return { status: response.status, body: await response.json() };
  } catch (error) {
    return { status: 0, body: { error: { code: failureCode(error) } } };
  }
}

/** What the system calls a failure to send or to receive, such as ECONNREFUSED; the name of the error otherwise. */
function failureCode(error: unknown): string {
  const code = error instanceof Error ? field(error.cause, "code") : undefined;
  if (typeof code === "string") return code;
  return error instanceof Error ? error.name : "failed";
}

const KEY_REUSED = "idempotency_key_reused";
/** Nothing was done: the connection was not made, the key is not the gateway's, it has no room. */
const TURNED_AWAY: readonly number[] = [401, 429, 503, 507];

function errorCode({ body }: Reply): string {
  const code = field(field(body, "error"), "code");
  return typeof code === "string" ? code : "";
}

/** Throws when the simulator takes our request for a wrong one: that is a defect on our side, and no outcome. */
function answerOf<Value>(reply: Reply, read: (body: unknown) => Value): Answer<Value> {
  const { status, body } = reply;
  if (status === 200 || status === 201) return { kind: "ok", value: read(body) };
  const code = errorCode(reply);
  const because = `${status} ${code}`;
  if (TURNED_AWAY.includes(status) || (status === 0 && code === "ECONNREFUSED")) return { kind: "retryable", because };
  // These may come from whatever stands between, in a form of its own.
  if (status === 0 || status === 408 || status >= 500) return { kind: "unknown", because };
  if (status === 402 || code === "invalid_token") return { kind: "declined", code };
  if (status === 409 && code !== KEY_REUSED) return { kind: "refused", code, status: REFUSALS[code] };
  throw new Error(`the payment gateway refused our request as wrong: ${because}`);
}

/** What a refusal tells of where the authorization stands. */
const REFUSALS: Readonly<Record<string, AuthorizationStatus>> = {
  authorization_voided: "VOIDED",
  authorization_expired: "EXPIRED",
  authorization_captured: "CAPTURED",
};

function effectOf(body: unknown): Effect {
  return { reference: text(field(body, "id")) };
}

function authorizationOf(body: unknown): Authorization {
  const expireTime = new Date(text(field(body, "expire_time")));
  if (Number.isNaN(expireTime.getTime())) throw new Error("the payment gateway sent a time that is none");
  return { ...effectOf(body), expireTime };
}

function recordOf(body: unknown): AuthorizationRecord {
  const [capture] = list(field(body, "captures"));
  return {
    status: statusOf(body),
    currencyCode: text(field(body, "currency")),
    amount: BigInt(text(field(body, "amount"))),
    captured: BigInt(text(field(body, "captured_amount"))),
    refunded: BigInt(text(field(body, "refunded_amount"))),
    captureReference: capture === undefined ? undefined : text(field(capture, "id")),
    ourReference: text(field(body, "reference")),
  };
}

async function listTransactions(send: Send, after: string | undefined): Promise<Done<TransactionPage> | Open> {
  const from = after === undefined ? "" : `&after=${encodeURIComponent(after)}`;
  const answer = answerOf(await send(`/v1/transactions?limit=${MAX_PAGE_TRANSACTIONS}${from}`), (body) => ({
    transactions: list(field(body, "transactions")).map(transactionOf),
    cursor: text(field(body, "next_after")),
    more: field(body, "has_more") === true,
  }));
  if (answer.kind === "ok" || isOpen(answer)) return answer;
  throw new Error(`the payment gateway does not show its transactions: ${answer.code}`);
}

function transactionOf(body: unknown): Transaction {
  const type = text(field(body, "type"));
  const kind = TRANSACTIONS[type];
  if (kind === undefined) throw new Error(`the payment gateway sent a transaction of the type ${type}, which is none`);
  return {
    kind,
    authorizationReference: text(field(body, "authorization_id")),
    currencyCode: text(field(body, "currency")),
    amount: BigInt(text(field(body, "amount"))),
  };
}

const TRANSACTIONS: Readonly<Record<string, Transaction["kind"]>> = {
  authorization: "AUTHORIZE",
  capture: "CAPTURE",
  void: "VOID",
  refund: "REFUND",
};

function statusOf(body: unknown): AuthorizationStatus {
  const state = text(field(body, "state"));
  switch (state) {
    case "authorized":
      return "AUTHORIZED";
    case "partially_captured":
    case "captured":
      return "CAPTURED";
    case "voided":
      return "VOIDED";
    case "expired":
      return "EXPIRED";
    default:
      throw new Error(`the payment gateway sent the state ${state}, which is none`);
  }
}

function field(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !(name in value)) return undefined;
  return Object.entries(value).find(([key]) => key === name)?.[1];
}

function list(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new Error("the payment gateway's answer lacks a list that it must have");
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  throw new Error("the payment gateway's answer lacks a text that it must have");
}

const SIGNATURE = /^t=(?<time>\d{1,12}),v1=(?<digest>[0-9a-f]{64})$/;

const AUTHORIZATION_ID = /^auth_\w{1,64}$/;

/** `t=<seconds>,v1=<hex of HMAC-SHA256 over "<seconds>.<body>">` */
function parseWebhook(
  secret: string,
  signature: string,
  body: Uint8Array,
  now: Date,
): WebhookEvent | "unreadable" | undefined {
  const { time, digest } = SIGNATURE.exec(signature)?.groups ?? {};
  if (time === undefined || digest === undefined) return undefined;
  const expected = createHmac("sha256", secret).update(`${time}.`).update(body).digest();
  if (!timingSafeEqual(expected, Buffer.from(digest, "hex"))) return undefined;
  if (Math.abs(now.getTime() - Number(time) * 1_000) > MAX_SIGNATURE_AGE_MS) return undefined;
  const event = readBody(body);
  const [id, about] = [field(event, "id"), field(event, "authorization_id")];
  if (!isEventId(id)) return "unreadable";
  if (about === undefined) return { id, authorizationReference: undefined };
  if (typeof about !== "string" || !AUTHORIZATION_ID.test(about)) return "unreadable";
  return { id, authorizationReference: about };
}
