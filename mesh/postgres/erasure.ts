import type { PersonalDataErasure } from "#gen/shop/type/v1/personal_data.ts";
import type { Contract, MethodPolicy } from "#mesh/contract/contract.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Database, Queryable } from "./database.ts";
import { ERASURE_BATCH_SIZE } from "./limits.ts";
import type { Transaction } from "./transaction.ts";

/** One place in which a service holds something personal: a table, most often. */
export interface PersonalPlace {
  /** The service and the table: `orders.orders`. */
  readonly place: string;
  /** What is kept on purpose, and why; empty when nothing is. */
  readonly kept: string;
  /**
   * Removes at most `limit` of a person's records, or takes what is personal out of them, and says of how many. What is
   * still needed it leaves. Records are locked in a fixed order, and what is done is never found again.
   */
  erase(tx: Transaction, customerId: string, limit: number): Promise<number>;
  /** How many records are left that hold something personal. */
  left(db: Queryable, customerId: string): Promise<number>;
}

/** Whose data, and under which request; `EraseCustomerDataRequest` of every service is one. */
export interface ErasureRequest {
  readonly requestId: string;
  readonly customerId: string;
}

/**
 * Erases what is personal of one person in all places, in their order, batch by batch, each in a transaction of its own
 * that counts what it did: whatever cuts it off, the same request goes on, and the counts tell of all that was done
 * under it. Copies at once take turns. Answers place by place; what was left may have become more since.
 * Throws REQUEST_ID_REUSED (the id came before for somebody else), and why the call ended before it was done.
 */
export async function erasePersonalData(
  db: Database,
  call: Pick<Call, "signal">,
  request: ErasureRequest,
  places: readonly PersonalPlace[],
): Promise<PersonalDataErasure[]> {
  for (const place of places) {
    let more = true;
    while (more) {
      call.signal.throwIfAborted();
      more = (await db.transaction((tx) => eraseBatch(tx, request, place))) === ERASURE_BATCH_SIZE;
    }
  }
  const counts = await db.query<{ readonly place: string; readonly count: bigint }>(
    `select place, erased_count as count from erased_records where request_id = $1`,
    [request.requestId],
  );
  const erasures: PersonalDataErasure[] = [];
  for (const { place, kept, left } of places) {
    const erasedCount = counts.find((one) => one.place === place)?.count ?? 0n;
    erasures.push({ place, erasedCount, leftCount: BigInt(await left(db, request.customerId)), kept });
  }
  return erasures;
}

async function eraseBatch(tx: Transaction, request: ErasureRequest, { place, erase }: PersonalPlace): Promise<number> {
  const { requestId, customerId } = request;
  // Locks the count, so that copies of the request take turns.
  const [row] = await tx.query<{ readonly customerId: string }>(
    `insert into erased_records (request_id, place, customer_id) values ($1, $2, $3)
     on conflict (request_id, place) do update set place = excluded.place
     returning customer_id as "customerId"`,
    [requestId, place, customerId],
  );
  if (row?.customerId !== customerId) {
    throw meshFailure("REQUEST_ID_REUSED", "This request_id came before for somebody else; nothing was done.", {
      metadata: { request_id: requestId },
    });
  }
  const erased = await erase(tx, customerId, ERASURE_BATCH_SIZE);
  if (erased > 0) {
    await tx.query(`update erased_records set erased_count = erased_count + $3 where request_id = $1 and place = $2`, [
      requestId,
      place,
      erased,
    ]);
  }
  return erased;
}

/**
 * The answers that `once` keeps of a person, as a place: those to their own requests, and those that tell of them. Whoever
 * repeats such a request is heard anew.
 */
export function storedAnswers(place: string, contracts: readonly Contract[]): PersonalPlace {
  const methods = changingMethods(contracts);
  return {
    place,
    kept: "",
    erase: async (tx, customerId, limit) => (await tx.query(deleteAnswers, [customerId, methods, limit])).length,
    left: async (db, customerId) => {
      const [row] = await db.query<{ readonly count: bigint }>(countAnswers, [customerId, methods]);
      return Number(row?.count ?? 0n);
    },
  };
}

/** The paths of the methods that may have stored answers. */
function changingMethods(contracts: readonly Contract[]): readonly string[] {
  return contracts.flatMap(({ definition, methods }) =>
    Object.entries<MethodPolicy>(methods)
      .filter(([, { idempotency }]) => idempotency !== "NO_SIDE_EFFECTS")
      .flatMap(([name]) => definition[name]?.path ?? []),
  );
}

// Both by an index: that of the subject, and the primary key.
const OF_PERSON = `subject = $1 or (method = any($2) and principal = $1)`;

const deleteAnswers = `
  delete from once_requests
  where (method, principal, request_id) in (
    select method, principal, request_id from once_requests where ${OF_PERSON}
    order by method, principal, request_id limit $3
    for update
  )
  returning 1 as removed`;

const countAnswers = `select count(*) as count from once_requests where ${OF_PERSON}`;
