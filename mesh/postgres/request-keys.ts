import { createHash } from "node:crypto";
import { systemClock } from "#mesh/clock.ts";
import type { Database, Opened } from "./database.ts";
import { isUniqueViolation } from "./errors.ts";
import { type OnceCall, principalOf, requestIdReused } from "./once.ts";
import type { OwnTransaction, TransactionOptions } from "./transaction.ts";

/** A request as it is kept with what it changed, for as long as that: what its copies are known by. */
export interface RequestKey {
  readonly principal: string;
  readonly requestId: string;
  readonly requestSha256: Buffer;
}

/** The key of a call's request. */
export function requestKeyOf(call: OnceCall, request: { readonly requestId: string }): RequestKey {
  const requestSha256 = createHash("sha256").update(call.method.encodeRequest(request)).digest();
  return { principal: principalOf(call), requestId: request.requestId, requestSha256 };
}

/** Throws REQUEST_ID_REUSED unless what is kept under the key's id came of the very same request. */
export function expectSameRequest(key: RequestKey, kept: { readonly requestSha256: Buffer }): void {
  if (!kept.requestSha256.equals(key.requestSha256)) throw requestIdReused(key.requestId);
}

/**
 * Runs a change that keeps its request's key, within the time of its call. `work` locks what it changes and then looks
 * for the key, so that a copy finds what the first one did. One that did not see it, as it locked other rows, loses at
 * the key's unique constraint; run again, it sees it.
 */
export async function runChange<T>(
  db: Database,
  call: OnceCall,
  work: (tx: OwnTransaction, opened: Opened) => Promise<T>,
  opening: TransactionOptions["opening"] = [],
): Promise<T> {
  const attempt = (): Promise<T> => {
    call.signal.throwIfAborted();
    return db.transaction(work, { statementTimeoutMs: call.deadline - systemClock.now().getTime(), opening });
  };
  return attempt().catch((error: unknown) => {
    if (!isUniqueViolation(error)) throw error;
    return attempt();
  });
}
