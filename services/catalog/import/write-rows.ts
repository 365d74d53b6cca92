import { DatabaseError } from "pg";
import type { Logger } from "pino";
import { meshFailure, RpcError } from "#mesh/contract/errors.ts";
import type { RowName, RowOutcome } from "./report.ts";

/**
 * Writes rows together; when that fails for something that only some of them may have to do with, writes them again
 * one by one, so that a row that fails takes no other down. `write` is a transaction: it writes all or throws.
 * Throws what has nothing to do with rows: that the database is gone, or the time is up.
 */
export async function writeRows<R extends RowName>(
  rows: readonly R[],
  write: (rows: readonly R[]) => Promise<ReadonlyMap<R, RowOutcome>>,
  log: Logger,
): Promise<ReadonlyMap<R, RowOutcome>> {
  if (rows.length === 0) return new Map();
  try {
    return await write(rows);
  } catch (error) {
    const failure = rowFailure(error);
    if (failure === undefined) throw error;
    const [only, ...others] = rows;
    if (only === undefined || others.length > 0) return writeOneByOne(rows, write, log);
    if (failure.reason === "INTERNAL") log.error({ err: error, row: only.number }, "a row could not be imported");
    return new Map([[only, { kind: "failed", failure }]]);
  }
}

async function writeOneByOne<R extends RowName>(
  rows: readonly R[],
  write: (rows: readonly R[]) => Promise<ReadonlyMap<R, RowOutcome>>,
  log: Logger,
): Promise<ReadonlyMap<R, RowOutcome>> {
  const outcomes = new Map<R, RowOutcome>();
  for (const row of rows) {
    for (const [one, outcome] of await writeRows([row], write, log)) outcomes.set(one, outcome);
  }
  return outcomes;
}

/** What a row is told of an error, if the error may be the row's. */
function rowFailure(error: unknown): RpcError | undefined {
  // One of ours has our domain; the mesh's own, such as SERVICE_UNAVAILABLE, has none yet.
  if (error instanceof RpcError) return error.domain === "" ? undefined : error;
  if (!(error instanceof DatabaseError)) return undefined;
  return meshFailure("INTERNAL", "The row could not be stored; the log says why.");
}
