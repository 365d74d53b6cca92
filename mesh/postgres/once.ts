import { createHash } from "node:crypto";
import { type Clock, systemClock } from "#mesh/clock.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import type { Database, Opened } from "./database.ts";
import { SWEEP_BATCH_SIZE, SWEEP_MAX_BATCHES } from "./limits.ts";
import type { Statement } from "./statements.ts";
import type { Transaction } from "./transaction.ts";

/** What `once` needs of a call; every `Call` is one. */
export interface OnceCall {
  readonly method: {
    readonly path: string;
    encodeRequest(message: unknown): Uint8Array;
    encodeResponse(message: unknown): Uint8Array;
    decodeResponse(bytes: Uint8Array): unknown;
  };
  readonly caller: string;
  readonly user: { readonly id: string } | undefined;
  readonly deadline: number;
  readonly signal: AbortSignal;
}

/** The transaction of an effect, which knows of whom its answer tells. */
export interface OnceTransaction extends Transaction {
  /**
   * Notes the user of whom the answer tells something that is personal, when that is not who asks: it is found, and
   * forgotten, with what else there is on them (see `storedAnswers`). At most one; the last counts.
   */
  about(userId: string): void;
}

/**
 * Runs `effect` once for a request_id of this caller and method, and answers every later copy of the request with the
 * answer of the first. The answer is stored in the transaction that holds the effect: either both exist, or neither,
 * and an `effect` that throws leaves nothing behind, so that the same request may be tried again.
 *
 * Copies that come while the first one runs wait for it, no longer than until their own deadline, each on a connection
 * of the pool. `effect` must use `tx` alone, and make no call to another service.
 *
 * Throws REQUEST_ID_REUSED (the id came before with another body), DEADLINE_EXCEEDED, and what `effect` throws.
 * Round trips: two beyond those of `effect`, two for a replay.
 */
export async function once<Request extends { readonly requestId: string }, Response>(
  db: Database,
  call: OnceCall,
  request: Request,
  clock: Clock,
  effect: (tx: OnceTransaction) => Promise<Response>,
): Promise<Response> {
  const { method, signal } = call;
  const key = [method.path, principalOf(call), request.requestId] as const;
  const requestHash = sha256(method.encodeRequest(request));
  signal.throwIfAborted();
  return db.transaction(
    async (tx, opened) => {
      const stored = storedAnswer(opened);
      if (stored !== undefined) {
        if (!stored.request_sha256.equals(requestHash)) throw requestIdReused(request.requestId);
        // These bytes are what encodeResponse of the same method made of a Response.
        return method.decodeResponse(stored.response) as Response;
      }
      // While this copy waited for another one, which then failed, its own time may have run out.
      signal.throwIfAborted();
      let subject: string | undefined;
      const about = (userId: string): void => {
        subject = userId;
      };
      const response = await effect({ isTransaction: true, query: tx.query, about });
      tx.last(insertAnswer, [...key, requestHash, method.encodeResponse(response), clock.now(), subject]);
      return response;
    },
    // The deadline is a moment of the machine's clock, whatever clock the service itself goes by.
    { statementTimeoutMs: call.deadline - systemClock.now().getTime(), opening: openingStatements(key) },
  );
}

/**
 * Removes the answers made before `olderThan`, oldest first, and says how many: SWEEP_MAX_BATCHES batches at most, and
 * none after `signal` aborts. What has no answer yet has no row, and so is never removed; what another sweep is removing
 * is left to it.
 */
export async function sweepOnce(db: Database, olderThan: Date, signal?: AbortSignal): Promise<number> {
  let removed = 0;
  for (let batch = 0; batch < SWEEP_MAX_BATCHES && signal?.aborted !== true; batch += 1) {
    const rows = await db.query(deleteBatch, [olderThan, SWEEP_BATCH_SIZE]);
    removed += rows.length;
    if (rows.length < SWEEP_BATCH_SIZE) break;
  }
  return removed;
}

type Key = readonly [method: string, principal: string, requestId: string];

/** Whose request_id it is: ids of different callers never meet. */
export function principalOf({ caller, user }: Pick<OnceCall, "caller" | "user">): string {
  if (caller === "gateway") return user?.id ?? "anonymous";
  return `service:${caller}`;
}

/**
 * Takes the key's lock, then looks for the answer; by the rules of READ COMMITTED the look sees all that was committed
 * before the lock came free. A lock rather than a row that is inserted first and completed later: one write instead of
 * two, and copies that wait need no row to wait on. Two keys with the same lock (one in 2^64) would only take turns.
 */
function openingStatements(key: Key): readonly Statement[] {
  const lockId = sha256(JSON.stringify(key)).readBigInt64BE();
  return [
    { text: "select pg_advisory_xact_lock($1)", values: [lockId] },
    { text: selectAnswer, values: key },
  ];
}

interface StoredAnswer {
  readonly request_sha256: Buffer;
  readonly response: Buffer;
}

function storedAnswer([, rows]: Opened): StoredAnswer | undefined {
  // `opened` holds the rows of the opening statements in their order; these are of the second one, selectAnswer.
  return rows?.[0] as StoredAnswer | undefined;
}

/** The failure of a request whose id came before with another request. */
export function requestIdReused(requestId: string): Error {
  return meshFailure("REQUEST_ID_REUSED", "This request_id came before with another request; nothing was done.", {
    metadata: { request_id: requestId },
  });
}

function sha256(data: string | Uint8Array): Buffer {
  return createHash("sha256").update(data).digest();
}

const selectAnswer = `
  select request_sha256, response from once_requests
  where method = $1 and principal = $2 and request_id = $3`;

// The primary key would refuse a second answer, should the lock ever fail to keep it away.
const insertAnswer = `
  insert into once_requests (method, principal, request_id, request_sha256, response, create_time, subject)
  values ($1, $2, $3, $4, $5, $6, $7)`;

const deleteBatch = `
  delete from once_requests
  where (method, principal, request_id) in (
    select method, principal, request_id from once_requests
    where create_time < $1 order by create_time limit $2
    for update skip locked
  )
  returning 1 as removed`;
