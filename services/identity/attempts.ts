import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import { systemClock } from "#mesh/clock.ts";
import { failures, type RpcError } from "#mesh/contract/errors.ts";
import type { Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Deps } from "./deps.ts";
import {
  ACCOUNT_RULE,
  type AttemptRule,
  afterFailure,
  DEVICE_RULE,
  drainTime,
  SESSION_RULE,
  SOURCE_AT_ACCOUNT_RULE,
  SOURCE_RULE,
  sourceOf,
  waitMs,
} from "./domain-attempts.ts";
import * as store from "./store-attempts.ts";

const fail = failures(IdentityService);

/** One of the counts that a try is held against. */
interface Counted extends store.CountKey {
  readonly rule: AttemptRule;
  /** Whether it starts anew when the try is right. */
  readonly forgiven: boolean;
}

/** Of which counts a try is one. */
export type Counts = readonly Counted[];

const ANY_ACCOUNT = "";
const ANYWHERE = "";

type Here = Pick<Call, "clientAddress" | "caller">;

/** A try to sign in: of a known device by itself, else of its source and of all who are unknown. */
export function signInCounts(
  { secrets }: Pick<Deps, "secrets">,
  call: Here,
  { email, deviceId }: { readonly email: string; readonly deviceId: string | undefined },
): Counts {
  const account = emailAccount(secrets, email);
  if (deviceId !== undefined) {
    return [{ account, origin: secrets.digest(["device", deviceId]), rule: DEVICE_RULE, forgiven: true }];
  }
  const origin = originOf(secrets, call);
  return [
    { account, origin, rule: SOURCE_AT_ACCOUNT_RULE, forgiven: true },
    // Right or wrong, the others are somebody else's: to forgive them would give a thief new tries by the owner's help.
    { account, origin: ANYWHERE, rule: ACCOUNT_RULE, forgiven: false },
    { account: ANY_ACCOUNT, origin, rule: SOURCE_RULE, forgiven: false },
  ];
}

/** A try to sign up, which tells who has signed up. */
export function signUpCounts({ secrets }: Pick<Deps, "secrets">, call: Here): Counts {
  return [{ account: ANY_ACCOUNT, origin: originOf(secrets, call), rule: SOURCE_RULE, forgiven: false }];
}

/** A try of a session to change the password. Whoever has a token of it has no more tries than these. */
export function sessionCounts(
  { secrets }: Pick<Deps, "secrets">,
  { userId, sessionId }: { readonly userId: string; readonly sessionId: string },
): Counts {
  const account = userAccount(secrets, userId);
  return [{ account, origin: secrets.digest(["session", sessionId]), rule: SESSION_RULE, forgiven: true }];
}

/** What stands for an address in the counts. */
export function emailAccount(secrets: Deps["secrets"], email: string): string {
  return secrets.digest(["email", email]);
}

/** What stands for a user in the counts. */
export function userAccount(secrets: Deps["secrets"], userId: string): string {
  return secrets.digest(["user", userId]);
}

function originOf(secrets: Deps["secrets"], { clientAddress, caller }: Here): string {
  return secrets.digest(["source", clientAddress === "" ? `service ${caller}` : sourceOf(clientAddress)]);
}

/** Refuses a try that would have to wait, before anything is done for it. Throws TOO_MANY_ATTEMPTS. */
export async function expectAttempt({ db, clock }: Deps, counts: Counts): Promise<void> {
  refuse(longestWaitMs(counts, await store.findCounts(db, counts), clock.now()));
}

/**
 * Says that a try was right, before anybody else is told: of many at once, those that come after too many wrong ones are
 * refused, right or not. Throws TOO_MANY_ATTEMPTS.
 */
export async function noteSuccess({ db, clock }: Deps, counts: Counts): Promise<void> {
  const rows = await store.settledCounts(db, counts);
  refuse(longestWaitMs(counts, rows, clock.now()));
  for (const key of counts) {
    if (key.forgiven && rows.some((row) => isOf(row, key))) await store.deleteCount(db, key);
  }
}

/**
 * Counts a wrong try, and returns what to tell of it: `error`; or TOO_MANY_ATTEMPTS, and nothing is counted, when others
 * at the same time were as many as may be. What is counted are answers: of fifty tries at once no more are answered than
 * of fifty in turn. `record` writes along with the count; `blocked` is whether the next one will have to wait.
 */
export async function noteFailure(
  { db, clock }: Deps,
  call: Pick<Call, "deadline">,
  { counts, error, record }: { counts: Counts; error: RpcError; record?: Record },
): Promise<RpcError> {
  const now = clock.now();
  const statementTimeoutMs = call.deadline - systemClock.now().getTime();
  const refused = await db.transaction(
    async (tx) => {
      const rows = await store.lockCounts(tx, counts, now);
      const longest = longestWaitMs(counts, rows, now);
      if (longest > 0) return tooMany(longest);
      let blocked = false;
      for (const row of rows) {
        const rule = ruleOf(counts, row);
        const next = { ...row, ...afterFailure(row, rule, now) };
        await store.updateCount(tx, { ...next, drainTime: drainTime(next, rule) });
        blocked ||= row.account !== ANY_ACCOUNT && waitMs(next, rule, now) > 0;
      }
      await record?.(tx, blocked);
      return undefined;
    },
    { statementTimeoutMs },
  );
  return refused ?? error;
}

type Record = (tx: Transaction, blocked: boolean) => Promise<void>;

function longestWaitMs(counts: Counts, rows: readonly store.CountRow[], now: Date): number {
  return Math.max(0, ...rows.map((row) => waitMs(row, ruleOf(counts, row), now)));
}

function ruleOf(counts: Counts, row: store.CountRow): AttemptRule {
  const counted = counts.find((key) => isOf(row, key));
  if (counted === undefined) throw new TypeError("a count that nobody asked for");
  return counted.rule;
}

function isOf(row: store.CountKey, key: store.CountKey): boolean {
  return row.account === key.account && row.origin === key.origin;
}

function refuse(longestMs: number): void {
  if (longestMs > 0) throw tooMany(longestMs);
}

function tooMany(retryDelayMs: number): RpcError {
  const seconds = Math.ceil(retryDelayMs / 1_000);
  return fail("TOO_MANY_ATTEMPTS", `Too many tries were wrong; the next one counts in ${seconds} s.`, undefined, {
    retryDelayMs: seconds * 1_000,
  });
}
