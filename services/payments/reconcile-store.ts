import type { Queryable } from "#mesh/postgres/index.ts";
import type { Standing } from "./domain.ts";
import type { GatewayStanding } from "./domain-alignment.ts";
import { first, type Stored } from "./store.ts";

/** A turn at comparing. Whoever has one writes under its fence. */
export interface Turn {
  readonly provider: string;
  readonly fence: bigint;
}

export interface Progress extends Turn {
  readonly gatewayCursor: string | undefined;
  readonly booksTime: Date;
  readonly booksId: string;
}

/** How long a turn is held without a sign of life. */
const LEASE = "interval '60 seconds'";

const CLAIM = `insert into reconciliations (provider, lease_until, fence) values ($1, now() + ${LEASE}, 1)
  on conflict (provider) do update set lease_until = now() + ${LEASE}, fence = reconciliations.fence + 1
  where reconciliations.lease_until <= now()
  returning provider, fence, gateway_cursor as "gatewayCursor", books_time as "booksTime", books_id as "booksId"`;

/** Takes the turn at comparing; undefined while somebody else has it. */
export async function claimTurn(db: Queryable, provider: string): Promise<Progress | undefined> {
  return first(await db.query<Stored<Progress>>(CLAIM, [provider]), (row) => ({
    ...row,
    gatewayCursor: row.gatewayCursor ?? undefined,
  }));
}

/** Gives the turn back. */
export async function releaseTurn(db: Queryable, { provider, fence }: Turn): Promise<void> {
  await db.query("update reconciliations set lease_until = now() where provider = $1 and fence = $2", [
    provider,
    fence,
  ]);
}

/**
 * Notes how far the comparison has come, and holds the turn and its row for the rest of the transaction. Throws when the
 * turn is somebody else's by now.
 */
export async function advance(tx: Queryable, { provider, fence, ...to }: Progress): Promise<void> {
  const rows = await tx.query(
    `update reconciliations set lease_until = now() + ${LEASE}, gateway_cursor = $3, books_time = $4, books_id = $5
     where provider = $1 and fence = $2 returning provider`,
    [provider, fence, to.gatewayCursor, to.booksTime, to.booksId],
  );
  if (rows.length === 0) throw new Error("somebody else compares the books by now");
}

/** What a page of transactions changes of one authorization. */
export interface RecordChange extends Omit<GatewayStanding, "status"> {
  readonly reference: string;
  readonly status: Exclude<GatewayStanding["status"], "ABSENT">;
}

/** Adds what transactions tell to the records of their authorizations; those that were read stay as they are. */
export async function addToRecords(tx: Queryable, provider: string, changes: readonly RecordChange[]): Promise<void> {
  await tx.query(
    `insert into gateway_records as g (provider, authorization_reference, status, currency, amount, captured, refunded)
     select $1, * from unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
     on conflict (provider, authorization_reference) do update set
       status = case excluded.status when 'AUTHORIZED' then g.status else excluded.status end,
       amount = greatest(g.amount, excluded.amount),
       captured = g.captured + excluded.captured, refunded = g.refunded + excluded.refunded
     where not g.is_read`,
    [provider, ...columns(changes)],
  );
}

/** Sets a record as the payment gateway itself shows it now. */
export async function setRecord(tx: Queryable, provider: string, record: RecordChange): Promise<void> {
  await tx.query(
    `insert into gateway_records (provider, authorization_reference, status, currency, amount, captured, refunded, is_read)
     select $1, *, true from unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
     on conflict (provider, authorization_reference) do update set status = excluded.status, is_read = true,
       currency = excluded.currency, amount = excluded.amount, captured = excluded.captured, refunded = excluded.refunded`,
    [provider, ...columns([record])],
  );
}

/** Forgets the record of what the payment gateway does not have. */
export async function deleteRecord(tx: Queryable, provider: string, reference: string): Promise<void> {
  await tx.query("delete from gateway_records where provider = $1 and authorization_reference = $2", [
    provider,
    reference,
  ]);
}

function columns(changes: readonly RecordChange[]): readonly (readonly unknown[])[] {
  return [
    changes.map(({ reference }) => reference),
    changes.map(({ status }) => status),
    changes.map(({ currencyCode }) => currencyCode),
    changes.map(({ amount }) => amount),
    changes.map(({ captured }) => captured),
    changes.map(({ refunded }) => refunded),
  ];
}

/** A payment and the record of its authorization, either of which may be missing. */
export interface Pair {
  /** The authorization, as the payment gateway calls it; undefined where there is none. */
  readonly reference: string | undefined;
  readonly paymentId: string | undefined;
  readonly updateTime: Date | undefined;
  readonly ours: Standing | undefined;
  readonly theirs: GatewayStanding | undefined;
  /** Whether the record is the payment gateway's own, and so may be older or newer than its list. */
  readonly isRead: boolean;
}

type PairRow = Stored<{
  readonly reference: string | undefined;
  readonly paymentId: string | undefined;
  readonly updateTime: Date | undefined;
  readonly state: Standing["state"] | undefined;
  readonly currency: string | undefined;
  readonly amount: bigint | undefined;
  readonly captured: bigint | undefined;
  readonly refunded: bigint | undefined;
  readonly theirStatus: GatewayStanding["status"] | undefined;
  readonly theirCurrency: string | undefined;
  readonly theirAmount: bigint | undefined;
  readonly theirCaptured: bigint | undefined;
  readonly theirRefunded: bigint | undefined;
  readonly isRead: boolean | undefined;
}>;

const PAIR = `coalesce(p.authorization_reference, g.authorization_reference) as reference, p.id as "paymentId",
  p.update_time as "updateTime", p.state, p.currency, p.amount, p.captured, p.refunded, g.status as "theirStatus",
  g.currency as "theirCurrency", g.amount as "theirAmount", g.captured as "theirCaptured", g.refunded as "theirRefunded",
  g.is_read as "isRead"`;

function pairOf(row: PairRow): Pair {
  const { state, currency, amount, captured, refunded } = row;
  const isOurs = state !== null && currency !== null && amount !== null && captured !== null && refunded !== null;
  const { theirStatus: status, theirCurrency, theirAmount, theirCaptured, theirRefunded } = row;
  const isTheirs =
    status !== null &&
    theirCurrency !== null &&
    theirAmount !== null &&
    theirCaptured !== null &&
    theirRefunded !== null;
  return {
    reference: row.reference ?? undefined,
    paymentId: row.paymentId ?? undefined,
    updateTime: row.updateTime ?? undefined,
    ours: isOurs ? { state, currencyCode: currency, amount, captured, refunded } : undefined,
    theirs: isTheirs
      ? { status, currencyCode: theirCurrency, amount: theirAmount, captured: theirCaptured, refunded: theirRefunded }
      : undefined,
    isRead: row.isRead ?? false,
  };
}

/** Records of these authorizations with the payments that have them. */
export async function pairsOf(
  tx: Queryable,
  provider: string,
  references: readonly string[],
): Promise<readonly Pair[]> {
  const rows = await tx.query<PairRow>(
    `select ${PAIR} from gateway_records g
     left join payments p on p.provider = g.provider and p.authorization_reference = g.authorization_reference
     where g.provider = $1 and g.authorization_reference = any($2::text[])`,
    [provider, references],
  );
  return rows.map(pairOf);
}

/** Payments that changed after the progress so far and before a moment, in that order, with the gateway's records. */
export async function changedPairs(
  tx: Queryable,
  { provider, booksTime, booksId }: Progress,
  { before, limit }: { readonly before: Date; readonly limit: number },
): Promise<readonly Pair[]> {
  const rows = await tx.query<PairRow>(
    `select ${PAIR} from payments p
     left join gateway_records g on g.provider = p.provider and g.authorization_reference = p.authorization_reference
     where p.provider = $1 and (p.update_time, p.id) > ($2, $3) and p.update_time < $4
     order by p.update_time, p.id limit $5`,
    [provider, booksTime, booksId, before, limit],
  );
  return rows.map(pairOf);
}

export interface Suspect {
  /** The payment's id; the authorization's, where no payment is known to have it. */
  readonly id: string;
  readonly isPayment: boolean;
}

/** Notes what is to be looked at closely from a moment on, or from the earlier one that is noted already. */
export async function addSuspects(
  tx: Queryable,
  provider: string,
  suspects: readonly Suspect[],
  nextLookTime: Date,
): Promise<void> {
  await tx.query(
    `insert into suspects (provider, subject, is_payment, next_look_time)
     select $1, *, $4 from unnest($2::text[], $3::boolean[])
     on conflict (provider, subject) do update
     set next_look_time = least(suspects.next_look_time, excluded.next_look_time)`,
    [provider, suspects.map(({ id }) => id), suspects.map(({ isPayment }) => isPayment), nextLookTime],
  );
}

/** What is due to be looked at, the longest waiting first; with `open`, also what is an open discrepancy already. */
export async function dueSuspects(
  db: Queryable,
  provider: string,
  due: { readonly now: Date; readonly open: boolean; readonly limit: number },
): Promise<readonly Suspect[]> {
  return db.query<Suspect>(
    `select subject as id, is_payment as "isPayment" from suspects s
     where provider = $1 and (next_look_time <= $2 or $3 and exists (
       select from discrepancies d
       where d.provider = $1 and coalesce(d.payment_id, d.authorization_reference) = s.subject and d.state = 'OPEN'))
     order by next_look_time, subject limit $4`,
    [provider, due.now, due.open, due.limit],
  );
}

/** Says when to look again. */
export async function postponeSuspect(db: Queryable, provider: string, id: string, to: Date): Promise<void> {
  await db.query("update suspects set next_look_time = $3 where provider = $1 and subject = $2", [provider, id, to]);
}

/** What was looked at and agrees is no suspect any more. */
export async function deleteSuspect(tx: Queryable, provider: string, id: string): Promise<void> {
  await tx.query("delete from suspects where provider = $1 and subject = $2", [provider, id]);
}

export interface DifferenceCounts {
  readonly open: number;
  /** Suspects that are no open discrepancy. */
  readonly underWay: number;
}

/** How much is known to differ. */
export async function countDifferences(db: Queryable, provider: string): Promise<DifferenceCounts> {
  const [counts] = await db.query<DifferenceCounts>(
    `select
       (select count(*)::int from discrepancies where provider = $1 and state = 'OPEN') as open,
       (select count(*)::int from suspects s where provider = $1 and not exists (
         select from discrepancies d
         where d.provider = $1 and coalesce(d.payment_id, d.authorization_reference) = s.subject and d.state = 'OPEN'
       )) as "underWay"`,
    [provider],
  );
  if (counts === undefined) throw new Error("a count has no row");
  return counts;
}
