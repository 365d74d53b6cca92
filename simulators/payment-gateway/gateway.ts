import { createHash, randomUUID } from "node:crypto";
import { join } from "node:path";
import type { Clock } from "#mesh/clock.ts";
import { errorBody, eventAnswer, refusalAnswer } from "./answers.ts";
import {
  type Authorization,
  apply,
  type Command,
  cardOf,
  decide,
  expiryOf,
  failsBeforeEffect,
  type Movement,
  type PaymentEvent,
  subjectOf,
} from "./domain.ts";
import { type Journal, openJournal } from "./journal.ts";
import { type Answer, decodeRecord, encodeRecord, type JournalRecord, type OperationRecord } from "./records.ts";

/** Keys that are remembered to have failed once before their effect; the oldest is forgotten, and fails once more. */
const MAX_FAILED_KEYS = 10_000;

/** What became of a POST. */
export type Outcome =
  /** The answer; `late` when it should reach the caller only after a while. */
  | { readonly kind: "answer"; readonly answer: Answer; readonly replayed: boolean; readonly late: boolean }
  /** The caller is told of an internal error, whatever happened. */
  | { readonly kind: "fault" };

/**
 * The books of the gateway: a journal of operations, and in memory only where in it each key, each authorization and
 * each movement stands. Every method but `flushed` and `close` works at once, so that two callers never see the same
 * state and both act on it; nothing it says may leave the process before `flushed`.
 */
export interface Gateway {
  /** Carries out a command under its key, once. */
  execute(command: Command, idempotencyKey: string): Outcome;
  authorization(id: string): Authorization | undefined;
  operation(idempotencyKey: string): OperationRecord | undefined;
  /** Up to `limit` movements of money from the `after`-th on, oldest first, and how many there are in all. */
  movements(after: number, limit: number): { readonly page: readonly Movement[]; readonly total: number };
  /** All that happened, expiries among it, oldest first. */
  readonly events: EventLog;
  /** Notes the expiries whose time has come; says when the next one's will have, undefined when none is to come. */
  expireDue(): Date | undefined;
  flushed(): Promise<void>;
  close(): Promise<void>;
}

/** All that happened. It only ever grows at its end, so an event goes by its place. */
export interface EventLog {
  count(): number;
  at(place: number): PaymentEvent;
  /** Has `listener` called after every event that is added. */
  listen(listener: () => void): void;
}

export interface GatewayOptions {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly authorizationLifetimeMs: number;
  /** Operations the books can hold; the next is refused. They bound the memory: about 300 bytes each. */
  readonly maxOperations: number;
  /** Called when a torn last entry was cut off at the start. */
  readonly onTornTail: (bytes: number) => void;
}

/** Where everything stands in the journal. */
interface Index {
  readonly keys: Map<string, number>;
  readonly authorizations: Map<string, number[]>;
  readonly movements: number[];
  readonly events: number[];
  /** When each authorization expires of which something is left, and how much. */
  readonly expiring: Map<string, { readonly expireTime: Date; readonly left: bigint }>;
}

/** Opens the books in a data folder, which is made when missing. Throws when they are damaged or cannot be read. */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  const index: Index = {
    ...{ keys: new Map(), authorizations: new Map(), expiring: new Map() },
    ...{ movements: [], events: [] },
  };
  const { journal, tornBytes } = await openJournal(join(options.dataDir, "journal"), (text, position) =>
    enter(index, decodeRecord(text), position),
  );
  if (tornBytes > 0) options.onTornTail(tornBytes);
  const eventAt = (position: number): PaymentEvent => eventOf(decodeRecord(journal.read(position)));
  const listeners: (() => void)[] = [];
  const append = (record: JournalRecord): void => {
    enter(index, record, journal.append(encodeRecord(record)));
    if (record.event !== undefined) for (const listener of listeners) listener();
  };

  return {
    execute: createExecute(journal, index, { ...options, append }),
    authorization: (id) => loadAuthorization(journal, index, id),
    operation(idempotencyKey) {
      const position = index.keys.get(idempotencyKey);
      return position === undefined ? undefined : operationOf(decodeRecord(journal.read(position)));
    },
    movements: (after, limit) => ({
      page: index.movements.slice(after, after + limit).map((position) => movementOf(eventAt(position))),
      total: index.movements.length,
    }),
    events: {
      count: () => index.events.length,
      at(place) {
        const position = index.events[place];
        if (position === undefined) throw new Error(`there is no event ${place}`);
        return eventAt(position);
      },
      listen: (listener) => listeners.push(listener),
    },
    expireDue: () => expireDue(journal, index, { clock: options.clock, append }),
    flushed: () => journal.flushed(),
    close: () => journal.close(),
  };
}

/** Adds a record to the journal and to the index, and tells of what happened. */
type Append = (record: JournalRecord) => void;

function expireDue(
  journal: Journal,
  index: Index,
  { clock, append }: { readonly clock: Clock; readonly append: Append },
): Date | undefined {
  const time = clock.now();
  let next: Date | undefined;
  for (const [id, { expireTime }] of index.expiring) {
    if (expireTime > time) {
      if (next === undefined || expireTime < next) next = expireTime;
      continue;
    }
    const authorization = loadAuthorization(journal, index, id);
    if (authorization !== undefined) append({ operation: "expire", time, event: expiryOf(authorization) });
  }
  return next;
}

function createExecute(
  journal: Journal,
  index: Index,
  options: GatewayOptions & { readonly append: Append },
): Gateway["execute"] {
  const failedKeys = new Set<string>();

  return (command, idempotencyKey) => {
    const requestDigest = digest(command);
    const position = index.keys.get(idempotencyKey);
    if (position !== undefined) return replay(operationOf(decodeRecord(journal.read(position))), requestDigest);
    if (index.keys.size >= options.maxOperations) return answerNow(capacityReached);

    const id = subjectOf(command);
    const authorization = id === undefined ? undefined : loadAuthorization(journal, index, id);
    const delivery =
      command.operation === "authorize" ? cardOf(command.paymentToken)?.delivery : authorization?.delivery;
    const unreliable = delivery === "unreliable" && !failedKeys.delete(idempotencyKey);
    if (unreliable && failsBeforeEffect(idempotencyKey)) {
      failedKeys.add(idempotencyKey);
      const [oldest] = failedKeys;
      if (failedKeys.size > MAX_FAILED_KEYS && oldest !== undefined) failedKeys.delete(oldest);
      return { kind: "fault" };
    }

    const now = options.clock.now();
    const newAuthorizationId = `auth_${randomUUID().replaceAll("-", "")}`;
    const { authorizationLifetimeMs } = options;
    const decision = decide(authorization, command, { now, newAuthorizationId, authorizationLifetimeMs });
    const answer = decision.ok ? eventAnswer(authorization, decision.value, now) : refusalAnswer(decision.error);
    // Nothing was there to act on: the key stays free.
    if (answer.status === 400 || answer.status === 404) return answerNow(answer);

    const event = decision.ok ? decision.value : undefined;
    options.append({ idempotencyKey, requestDigest, operation: command.operation, time: now, answer, event });
    if (unreliable) return { kind: "fault" };
    return { kind: "answer", answer, replayed: false, late: delivery === "slow" };
  };
}

function replay(record: OperationRecord, requestDigest: string): Outcome {
  if (record.requestDigest !== requestDigest) return answerNow(keyReused);
  return { kind: "answer", answer: record.answer, replayed: true, late: false };
}

function enter(index: Index, record: JournalRecord, position: number): void {
  const { event } = record;
  if (record.operation !== "expire") index.keys.set(record.idempotencyKey, position);
  if (event === undefined) return;
  index.events.push(position);
  if (event.type !== "expired") index.movements.push(position);
  const { authorizationId } = event;
  const history = index.authorizations.get(authorizationId);
  if (history === undefined) index.authorizations.set(authorizationId, [position]);
  else history.push(position);
  noteExpiring(index.expiring, event);
}

function noteExpiring(expiring: Index["expiring"], event: PaymentEvent): void {
  if (event.type === "refunded") return;
  const { authorizationId, amount } = event;
  const known = expiring.get(authorizationId);
  expiring.delete(authorizationId);
  if (event.type === "authorized") expiring.set(authorizationId, { expireTime: event.expireTime, left: amount });
  else if (event.type === "captured" && known !== undefined && known.left > amount) {
    expiring.set(authorizationId, { ...known, left: known.left - amount });
  }
}

function eventOf({ event }: JournalRecord): PaymentEvent {
  if (event === undefined) throw new Error("an operation that was refused is listed as an event");
  return event;
}

function movementOf(event: PaymentEvent): Movement {
  if (event.type === "expired") throw new Error("an expiry is listed as a movement of money");
  return event;
}

function operationOf(record: JournalRecord): OperationRecord {
  if (record.operation === "expire") throw new Error("an expiry is listed under a key");
  return record;
}

function loadAuthorization(journal: Journal, index: Index, id: string): Authorization | undefined {
  let authorization: Authorization | undefined;
  for (const position of index.authorizations.get(id) ?? []) {
    const { event } = decodeRecord(journal.read(position));
    if (event !== undefined) authorization = apply(authorization, event);
  }
  return authorization;
}

/** Digest of what is asked, whatever the order of the JSON fields. It is all that is kept of a payment token. */
function digest(command: Command): string {
  const fields = Object.entries(command)
    .map(([name, value]) => [name, value === undefined ? null : String(value)])
    .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
  return createHash("sha256").update(JSON.stringify(fields)).digest("base64url");
}

function answerNow(answer: Answer): Outcome {
  return { kind: "answer", answer, replayed: false, late: false };
}

const keyReused: Answer = {
  status: 409,
  body: errorBody("idempotency_key_reused", "The Idempotency-Key came before with another request."),
};

const capacityReached: Answer = {
  status: 507,
  body: errorBody("capacity_reached", "The books are full. Start with an empty data folder."),
};
