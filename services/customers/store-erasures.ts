import type { Queryable } from "#mesh/postgres/index.ts";
import type { ErasureProgress, ErasureState, ServiceProgress } from "./domain-erasure.ts";

/** What was erased in one place, as its service told. */
export interface ErasedPlace {
  readonly place: string;
  readonly erasedCount: bigint;
  readonly leftCount: bigint;
  readonly kept: string;
}

export interface ErasedService extends ServiceProgress {
  readonly attempts: number;
  /** How often it was asked in the present round. */
  readonly tries: number;
  readonly lastError: string;
  readonly places: readonly ErasedPlace[];
}

export interface Erasure extends ErasureProgress {
  readonly id: string;
  readonly customerId: string;
  readonly services: readonly ErasedService[];
  readonly createTime: Date;
  readonly doneTime: Date | undefined;
}

interface ErasureRow {
  readonly id: string;
  readonly customerId: string;
  readonly state: ErasureState;
  readonly verifyTime: Date | null;
  readonly createTime: Date;
  readonly doneTime: Date | null;
}

interface ServiceRow extends Omit<ErasedService, "answerTime" | "places"> {
  readonly answerTime: Date | null;
}

const ERASURE = `id, customer_id as "customerId", state, verify_time as "verifyTime", create_time as "createTime",
  done_time as "doneTime"`;

/** Begins the erasure of a customer whose row is locked, and who has none. */
export async function insertErasure(
  tx: Queryable,
  erasure: { readonly id: string; readonly customerId: string; readonly now: Date },
): Promise<void> {
  await tx.query(
    `insert into erasures (id, customer_id, state, next_attempt_time, create_time)
     values ($1, $2, 'RUNNING', $3, $3)`,
    [erasure.id, erasure.customerId, erasure.now],
  );
}

/** Has these services take part in an erasure, after those that do. Ones that do already stay as they are. */
export async function insertServices(
  tx: Queryable,
  { id, services, now }: { readonly id: string; readonly services: readonly string[]; readonly now: Date },
): Promise<void> {
  await tx.query(
    `insert into erasure_services (erasure_id, service, position, next_attempt_time)
     select $1, service, position, $3 from unnest($2::text[]) with ordinality as s (service, position)
     on conflict do nothing`,
    [id, services, now],
  );
}

/** The erasure of an id. */
export async function getErasure(db: Queryable, id: string): Promise<Erasure | undefined> {
  return whole(db, await db.query<ErasureRow>(`select ${ERASURE} from erasures where id = $1`, [id]));
}

/** The erasure of a customer. */
export async function findErasure(db: Queryable, customerId: string): Promise<Erasure | undefined> {
  return whole(db, await db.query<ErasureRow>(`select ${ERASURE} from erasures where customer_id = $1`, [customerId]));
}

async function whole(db: Queryable, [row]: readonly ErasureRow[]): Promise<Erasure | undefined> {
  if (row === undefined) return undefined;
  const services = await db.query<ServiceRow>(
    `select service, rounds, attempts, tries, next_attempt_time as "nextAttemptTime", last_error as "lastError",
       answer_time as "answerTime"
     from erasure_services where erasure_id = $1 order by position, service`,
    [row.id],
  );
  const places = await db.query<ErasedPlace & { readonly service: string }>(
    `select service, place, erased_count as "erasedCount", left_count as "leftCount", kept
     from erasure_places where erasure_id = $1 order by service, position`,
    [row.id],
  );
  return {
    ...row,
    verifyTime: row.verifyTime ?? undefined,
    doneTime: row.doneTime ?? undefined,
    services: services.map((one) => ({
      ...one,
      answerTime: one.answerTime ?? undefined,
      places: places.flatMap(({ service, ...place }) => (service === one.service ? [place] : [])),
    })),
  };
}

/** A claim on an erasure: every write of whoever works on it is guarded by it, and does nothing when it is out of date. */
export interface Claim {
  readonly id: string;
  readonly fence: bigint;
}

/** Claims erasures that are due and that nobody works on, for `leaseMs`. */
export async function claimErasures(
  db: Queryable,
  { now, leaseMs, limit }: { readonly now: Date; readonly leaseMs: number; readonly limit: number },
): Promise<readonly Claim[]> {
  return db.query<Claim>(
    `update erasures set fence = fence + 1, lease_until = now() + $2::int * interval '1 millisecond'
     where id in (
       select id from erasures
       where state <> 'DONE' and next_attempt_time <= $1 and (lease_until is null or lease_until < now())
       order by next_attempt_time limit $3
       for update skip locked)
     returning id, fence`,
    [now, leaseMs, limit],
  );
}

/** Holds an erasure for `leaseMs` from now. False when it is somebody else's by now. */
export async function renewLease(db: Queryable, { id, fence }: Claim, leaseMs: number): Promise<boolean> {
  const rows = await db.query(
    `update erasures set lease_until = now() + $3::int * interval '1 millisecond'
     where id = $1 and fence = $2 returning id`,
    [id, fence, leaseMs],
  );
  return rows.length > 0;
}

/** Locks a claimed erasure until the transaction ends. False when it is somebody else's by now. */
export async function lockClaimed(tx: Queryable, { id, fence }: Claim): Promise<boolean> {
  return (await tx.query(`select id from erasures where id = $1 and fence = $2 for update`, [id, fence])).length > 0;
}

/** What came of asking a service. */
export interface Attempt {
  readonly service: string;
  readonly rounds: number;
  readonly tries: number;
  readonly nextAttemptTime: Date;
  readonly error: string;
  /** Undefined when it did not answer. */
  readonly answer: { readonly time: Date; readonly places: readonly ErasedPlace[] } | undefined;
}

/** Notes what came of asking a service about an erasure that is locked. */
export async function writeAttempt(tx: Queryable, erasureId: string, attempt: Attempt): Promise<void> {
  const { service, rounds, tries, nextAttemptTime, error, answer } = attempt;
  await tx.query(
    `update erasure_services set rounds = $3, attempts = attempts + 1, tries = $4, next_attempt_time = $5,
       last_error = $6, answer_time = coalesce($7, answer_time)
     where erasure_id = $1 and service = $2`,
    [erasureId, service, rounds, tries, nextAttemptTime, error, answer?.time],
  );
  if (answer !== undefined) await writePlaces(tx, { erasureId, service, places: answer.places });
}

/** Notes what a service erased, in place of what it told before. */
async function writePlaces(
  tx: Queryable,
  told: { readonly erasureId: string; readonly service: string; readonly places: readonly ErasedPlace[] },
): Promise<void> {
  const { erasureId, service, places } = told;
  await tx.query(`delete from erasure_places where erasure_id = $1 and service = $2`, [erasureId, service]);
  await tx.query(
    `insert into erasure_places (erasure_id, service, position, place, erased_count, left_count, kept)
     select $1, $2, position, place, erased, remaining, kept
     from unnest($3::text[], $4::bigint[], $5::bigint[], $6::text[])
       with ordinality as p (place, erased, remaining, kept, position)`,
    [
      erasureId,
      service,
      places.map(({ place }) => place),
      places.map(({ erasedCount }) => erasedCount),
      places.map(({ leftCount }) => leftCount),
      places.map(({ kept }) => kept),
    ],
  );
}

/** Lets go of an erasure until a moment. Nothing happens when it is somebody else's by now; so with what follows. */
export async function postpone(db: Queryable, { id, fence }: Claim, until: Date): Promise<void> {
  await db.query(`update erasures set next_attempt_time = $3, lease_until = null where id = $1 and fence = $2`, [
    id,
    fence,
    until,
  ]);
}

/** Lets go of an erasure, for whoever comes next. */
export async function letGo(db: Queryable, { id, fence }: Claim): Promise<void> {
  await db.query(`update erasures set lease_until = null where id = $1 and fence = $2`, [id, fence]);
}

/** The first round is over; the second begins at `from`. */
export async function beginVerifying(db: Queryable, { id, fence }: Claim, from: Date): Promise<void> {
  await db.query(
    `with verifying as (
       update erasures set state = 'VERIFYING', verify_time = $3, next_attempt_time = $3
       where id = $1 and fence = $2 and state = 'RUNNING' returning id
     )
     update erasure_services set tries = 0 from verifying where erasure_id = verifying.id`,
    [id, fence, from],
  );
}

/** All is erased. */
export async function finish(db: Queryable, { id, fence }: Claim, now: Date): Promise<void> {
  await db.query(
    `update erasures set state = 'DONE', done_time = $3, next_attempt_time = null, lease_until = null
     where id = $1 and fence = $2 and state = 'VERIFYING'`,
    [id, fence, now],
  );
}
