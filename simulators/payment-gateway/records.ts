import type { Delivery, Movement, PaymentEvent } from "./domain.ts";

/** What a POST answered: the HTTP status and the JSON body. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** One keyed operation as the journal keeps it: what was asked, what it did, and what was answered. */
export interface OperationRecord {
  readonly idempotencyKey: string;
  /** Digest of the request: a key comes back with the same request, or not at all. */
  readonly requestDigest: string;
  readonly operation: "authorize" | "capture" | "void" | "refund";
  readonly time: Date;
  readonly answer: Answer;
  /** What happened; undefined when the operation was refused. */
  readonly event: Movement | undefined;
}

/** What happened by itself, as the journal keeps it: nobody asked for it. */
export interface ExpiryRecord {
  readonly operation: "expire";
  readonly time: Date;
  readonly event: PaymentEvent;
}

export type JournalRecord = OperationRecord | ExpiryRecord;

/** The record as one line of JSON. */
export function encodeRecord({ time, event, ...rest }: JournalRecord): string {
  return JSON.stringify({ ...rest, time: time.toISOString(), event: event && encodeEvent(event) });
}

/** Reads what `encodeRecord` wrote. */
export function decodeRecord(text: string): JournalRecord {
  // The journal has compared the line with its checksum, and nothing but encodeRecord makes such lines.
  const { time, event, ...rest } = JSON.parse(text) as RecordJson;
  return { ...rest, time: new Date(time), event: event && decodeEvent(event) } as JournalRecord;
}

interface RecordJson extends Omit<OperationRecord, "operation" | "time" | "event"> {
  readonly operation: JournalRecord["operation"];
  readonly time: string;
  readonly event: EventJson | undefined;
}

interface EventJson {
  readonly type: PaymentEvent["type"];
  readonly id: string;
  readonly authorizationId: string;
  readonly reference: string;
  readonly currency: string;
  readonly amount: string;
  readonly time: string;
  readonly expireTime?: string;
  readonly delivery?: Delivery;
  readonly captureId?: string;
}

function encodeEvent(event: PaymentEvent): EventJson {
  const { type, id, authorizationId, reference, currency } = event;
  const common = { type, id, authorizationId, reference, currency };
  const json = { ...common, amount: event.amount.toString(), time: event.time.toISOString() };
  if (event.type === "authorized") {
    return { ...json, expireTime: event.expireTime.toISOString(), delivery: event.delivery };
  }
  return event.type === "refunded" ? { ...json, captureId: event.captureId } : json;
}

function decodeEvent({ type, expireTime, delivery, captureId, ...json }: EventJson): PaymentEvent {
  const happened = { ...json, amount: BigInt(json.amount), time: new Date(json.time) };
  if (type === "captured" || type === "voided" || type === "expired") return { ...happened, type };
  if (type === "authorized" && expireTime !== undefined && delivery !== undefined) {
    return { ...happened, type, expireTime: new Date(expireTime), delivery };
  }
  if (type === "refunded" && captureId !== undefined) return { ...happened, type, captureId };
  throw new Error(`the journal has an event of another shape: ${json.id}`);
}
