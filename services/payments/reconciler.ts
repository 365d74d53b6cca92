import { type Background, repeat } from "#mesh/repeat.ts";
import { type Deps, fail } from "./deps.ts";
import { planAlignment } from "./domain-alignment.ts";
import { isOpen, type Transaction } from "./payment-gateway.ts";
import * as reconcileStore from "./reconcile-store.ts";
import { lookAtSuspects } from "./reconcile-suspects.ts";

/** Between the end of one round and the beginning of the next. */
const INTERVAL_MS = 15_000;
/** How long what is under way has to come to rest before it is looked at closely; longer than any call and its settling. */
export const GRACE_MS = 60_000;
/** How many pages of the gateway's list, and of our changes, one round reads at most; the next goes on from there. */
const MAX_PAGES = 20;
const PAGE = 500;

/** What one round did. */
export interface Round {
  readonly transactions: number;
  readonly payments: number;
  readonly differing: number;
  readonly repaired: number;
  /** Whether it came to the end of both books, as they were then. */
  readonly isComplete: boolean;
}

/** Compares, round after round, until it is closed. */
export function startReconciler(deps: Deps): Background {
  return repeat({ name: "reconciling payments", everyMs: INTERVAL_MS, log: deps.log }, async (signal) => {
    await reconcile(deps, signal);
  });
}

/** Compares for one round; undefined while another process does. */
export function reconcile(deps: Deps, signal: AbortSignal): Promise<Round | undefined> {
  return withTurn(deps, (turn) => compareBooks(deps, turn, { signal, again: false }));
}

/** Does something while it is this process's turn to compare; undefined while it is another's. */
export async function withTurn<T>(
  { db, gateway }: Deps,
  work: (turn: reconcileStore.Progress) => Promise<T>,
): Promise<T | undefined> {
  const turn = await reconcileStore.claimTurn(db, gateway.name);
  if (turn === undefined) return undefined;
  try {
    return await work(turn);
  } finally {
    await reconcileStore.releaseTurn(db, turn);
  }
}

/**
 * Compares our payments with the payment gateway's records, from where the last round stopped. First the gateway's list
 * is read: each authorization that it tells of is compared with its payment. Then our own changes are gone through, for
 * what the list never told of. What differs is a suspect, and is looked at closely when it has had time to come to rest.
 * Each page is one transaction with the progress, so a round can be cut off anywhere. With `again`, open discrepancies
 * are looked at though it is not their time.
 */
export async function compareBooks(
  deps: Deps,
  turn: reconcileStore.Progress,
  { signal, again }: { readonly signal: AbortSignal; readonly again: boolean },
): Promise<Round> {
  const theirs = await readGateway(deps, turn, signal);
  // Before their list is read to its end, every newer payment of ours would seem to be missing there.
  const ours = theirs.isComplete ? await readBooks(deps, theirs.progress, signal) : { ...theirs, count: 0 };
  const { isAll, ...looked } = await lookAtSuspects(deps, ours.progress, { signal, again });
  const isComplete = theirs.isComplete && ours.isComplete && isAll;
  return { transactions: theirs.count, payments: ours.count, ...looked, isComplete };
}

interface Reading {
  readonly progress: reconcileStore.Progress;
  readonly count: number;
  readonly isComplete: boolean;
}

async function readGateway(deps: Deps, from: reconcileStore.Progress, signal: AbortSignal): Promise<Reading> {
  let [progress, count] = [from, 0];
  for (let pages = 0; pages < MAX_PAGES && !signal.aborted; pages += 1) {
    const answer = await deps.gateway.listTransactions(progress.gatewayCursor);
    if (isOpen(answer)) {
      deps.log.warn({ because: answer.because }, "the payment gateway did not show its transactions");
      throw fail("OUTCOME_UNKNOWN", "The payment gateway did not show its transactions; ask again.");
    }
    const { transactions, cursor, more } = answer.value;
    if (transactions.length > 0 || cursor !== progress.gatewayCursor) {
      const to = { ...progress, gatewayCursor: cursor };
      await noteTransactions(deps, to, transactions);
      [progress, count] = [to, count + transactions.length];
    }
    if (!more) return { progress, count, isComplete: true };
  }
  return { progress, count, isComplete: false };
}

async function noteTransactions(
  { db, clock }: Deps,
  progress: reconcileStore.Progress,
  transactions: readonly Transaction[],
): Promise<void> {
  const changes = recordChanges(transactions);
  await db.transaction(async (tx) => {
    await reconcileStore.advance(tx, progress);
    if (changes.length === 0) return;
    await reconcileStore.addToRecords(tx, progress.provider, changes);
    const references = changes.map(({ reference }) => reference);
    const pairs = await reconcileStore.pairsOf(tx, progress.provider, references);
    const now = clock.now();
    await suspect(tx, progress.provider, pairs.filter(({ isRead }) => !isRead).filter(differs), afterGrace(now));
    await suspect(
      tx,
      progress.provider,
      pairs.filter(({ isRead }) => isRead),
      now,
    );
  });
}

/** What transactions come to for each authorization, by its name. */
function recordChanges(transactions: readonly Transaction[]): readonly reconcileStore.RecordChange[] {
  const changes = new Map<string, reconcileStore.RecordChange>();
  for (const { kind, authorizationReference: reference, currencyCode, amount } of transactions) {
    const before = changes.get(reference) ?? {
      ...{ reference, currencyCode, status: "AUTHORIZED" as const },
      ...{ amount: 0n, captured: 0n, refunded: 0n },
    };
    changes.set(reference, { ...before, ...changeOf(kind, before, amount) });
  }
  return [...changes.values()].sort((one, other) => (one.reference < other.reference ? -1 : 1));
}

function changeOf(
  kind: Transaction["kind"],
  before: reconcileStore.RecordChange,
  amount: bigint,
): Partial<reconcileStore.RecordChange> {
  switch (kind) {
    case "AUTHORIZE":
      return { amount };
    case "CAPTURE":
      return { status: "CAPTURED", captured: before.captured + amount };
    case "VOID":
      return { status: "VOIDED" };
    case "REFUND":
      return { refunded: before.refunded + amount };
  }
}

async function readBooks(deps: Deps, from: reconcileStore.Progress, signal: AbortSignal): Promise<Reading> {
  const { db, clock } = deps;
  let [progress, count] = [from, 0];
  const before = new Date(clock.now().getTime() - GRACE_MS);
  for (let pages = 0; pages < MAX_PAGES && !signal.aborted; pages += 1) {
    const pairs = await reconcileStore.changedPairs(db, progress, { before, limit: PAGE });
    const last = pairs.at(-1);
    if (last?.updateTime !== undefined && last.paymentId !== undefined) {
      const to = { ...progress, booksTime: last.updateTime, booksId: last.paymentId };
      await db.transaction(async (tx) => {
        await reconcileStore.advance(tx, to);
        await suspect(tx, to.provider, pairs.filter(differs), afterGrace(clock.now()));
      });
      [progress, count] = [to, count + pairs.length];
    }
    if (pairs.length < PAGE) return { progress, count, isComplete: true };
  }
  return { progress, count, isComplete: false };
}

async function suspect(
  tx: Parameters<typeof reconcileStore.addSuspects>[0],
  provider: string,
  pairs: readonly reconcileStore.Pair[],
  from: Date,
): Promise<void> {
  const suspects = pairs.flatMap(({ paymentId, reference }) => {
    const id = paymentId ?? reference;
    return id === undefined ? [] : [{ id, isPayment: paymentId !== undefined }];
  });
  if (suspects.length > 0) await reconcileStore.addSuspects(tx, provider, suspects, from);
}

function afterGrace(now: Date): Date {
  return new Date(now.getTime() + GRACE_MS);
}

function differs({ ours, theirs }: reconcileStore.Pair): boolean {
  if (ours === undefined) return true;
  const nothing = { currencyCode: ours.currencyCode, amount: 0n, captured: 0n, refunded: 0n };
  return planAlignment(ours, theirs ?? { status: "ABSENT", ...nothing }).kind !== "agree";
}
