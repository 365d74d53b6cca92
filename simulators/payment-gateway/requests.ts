import type { Command } from "./domain.ts";

/** A request that is refused before it reaches the books; nothing is recorded under its key. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  readonly status: number;
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/** A JSON object from outside. */
export type Body = Readonly<Record<string, unknown>>;

export function parseAuthorize(body: Body): Command {
  onlyFields(body, ["amount", "currency", "payment_token", "reference"]);
  return {
    operation: "authorize",
    amount: parseAmount(required(body, "amount")),
    currency: parseText(required(body, "currency"), "currency", CURRENCY, "three capital letters of ISO 4217"),
    paymentToken: parseText(required(body, "payment_token"), "payment_token", TOKEN, "1 to 255 characters"),
    reference: parseText(required(body, "reference"), "reference", TEXT, "1 to 255 printable characters"),
  };
}

export function parseCapture(authorizationId: string, body: Body): Command {
  return { operation: "capture", authorizationId, amount: parseOnlyAmount(body) };
}

export function parseVoid(authorizationId: string, body: Body): Command {
  onlyFields(body, []);
  return { operation: "void", authorizationId };
}

export function parseRefund(captureId: string, body: Body): Command {
  return { operation: "refund", captureId, amount: parseOnlyAmount(body) };
}

/** The key of a POST: 1 to 255 printable ASCII characters. */
export function parseIdempotencyKey(value: string | undefined): string {
  if (value === undefined || value === "") {
    throw new RequestError(400, "idempotency_key_missing", "Every POST needs an Idempotency-Key header.");
  }
  return parseText(value, "Idempotency-Key", KEY, "1 to 255 printable ASCII characters");
}

/** The key in a look-up. */
export function parseOperationQuery(query: URLSearchParams): string {
  const key = query.get("idempotency_key");
  if (key === null) throw invalid("idempotency_key", "is required");
  return parseText(key, "idempotency_key", KEY, "1 to 255 printable ASCII characters");
}

/** Which page of transactions is asked for; `limit` is 100 unless given, and at most 500. */
export function parsePageQuery(query: URLSearchParams): { readonly after: number; readonly limit: number } {
  const after = parseCount(query.get("after") || "0", "after", { from: 0, to: Number.MAX_SAFE_INTEGER });
  const limit = parseCount(query.get("limit") || "100", "limit", { from: 1, to: 500 });
  return { after, limit };
}

/** A JSON object in UTF-8; no bytes at all stand for an empty one. */
export function parseBody(bytes: Uint8Array): Body {
  if (bytes.length === 0) return {};
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(bytes));
  } catch {
    throw new RequestError(400, "invalid_json", "The body is not JSON in UTF-8.");
  }
  if (!isObject(value)) throw new RequestError(400, "invalid_json", "The body must be a JSON object.");
  return value;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });
const AMOUNT = /^[1-9][0-9]{0,18}$/;
/** The most that fits into 64 bits with a sign. */
const MAX_AMOUNT = 2n ** 63n - 1n;
const CURRENCY = /^[A-Z]{3}$/;
const KEY = /^[\x20-\x7e]{1,255}$/;
/** Whatever it holds, a token that is not known is told to be so. */
const TOKEN = /^.{1,255}$/su;
const TEXT = /^[^\p{C}]{1,255}$/u;

function parseOnlyAmount(body: Body): bigint | undefined {
  onlyFields(body, ["amount"]);
  return body.amount === undefined ? undefined : parseAmount(body.amount);
}

function parseAmount(value: unknown): bigint {
  const rule = `a string of decimal digits, from 1 to ${MAX_AMOUNT}, in minor units`;
  const amount = BigInt(parseText(value, "amount", AMOUNT, rule));
  if (amount > MAX_AMOUNT) throw invalid("amount", `must be ${rule}`);
  return amount;
}

function parseText(value: unknown, field: string, pattern: RegExp, rule: string): string {
  if (typeof value !== "string" || !pattern.test(value)) throw invalid(field, `must be ${rule}`);
  return value;
}

function parseCount(
  value: string,
  field: string,
  { from, to }: { readonly from: number; readonly to: number },
): number {
  const count = /^[0-9]{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (!(count >= from && count <= to)) throw invalid(field, `must be a whole number from ${from} to ${to}`);
  return count;
}

function required(body: Body, field: string): unknown {
  const value = body[field];
  if (value === undefined) throw invalid(field, "is required");
  return value;
}

function onlyFields(body: Body, known: readonly string[]): void {
  for (const field of Object.keys(body))
    if (!known.includes(field)) throw invalid(field, "is not a field of this request");
}

function invalid(field: string, problem: string): RequestError {
  return new RequestError(400, "invalid_request", `${field.slice(0, 64)} ${problem}.`);
}

function isObject(value: unknown): value is Body {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
