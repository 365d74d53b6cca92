import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import type { ChangePasswordRequest, ChangePasswordResponse } from "#gen/shop/identity/v1/identity_service.ts";
import { failures, type RpcError } from "#mesh/contract/errors.ts";
import { type Database, once, type Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { type Counts, expectAttempt, noteFailure, noteSuccess, sessionCounts } from "./attempts.ts";
import { type Deps, userOf } from "./deps.ts";
import { deviceToken } from "./devices.ts";
import { recordEvent } from "./events.ts";
import { NOT_KEPT, otherPassword } from "./sign-in.ts";
import * as store from "./store.ts";

const fail = failures(IdentityService);

export const changePassword =
  (deps: Deps) =>
  async (request: ChangePasswordRequest, call: Call): Promise<ChangePasswordResponse> => {
    const { db, clock, passwords } = deps;
    const { id: userId, sessionId } = userOf(call);
    const counts = sessionCounts(deps, { userId, sessionId });
    await expectAttempt(deps, counts);
    const kept = { ...request, currentPassword: NOT_KEPT, newPassword: NOT_KEPT };
    // Hashing takes its time, and takes it outside the transaction, where it holds no connection and no lock.
    const before = await passwordHashOf(db, userId);
    const verified = await passwords.verify(before, request.currentPassword, call.signal);
    if (verified) await noteSuccess(deps, counts);
    const after = await passwords.hash(request.newPassword, call.signal);
    const wrong = currentPasswordWrong();
    let first = false;
    const change = async (tx: Transaction): Promise<ChangePasswordResponse> => {
      first = true;
      // Of two changes at once the later one finds that the password is another. That it is wrong is said only now:
      // a copy of a change that went through comes with what was the password then.
      const changed = verified && before !== undefined && (await store.updatePassword(tx, { userId, before, after }));
      if (!changed) throw wrong;
      const revokedSessions = await store.revokeOtherSessions(tx, { keepId: sessionId, userId, now: clock.now() });
      await recordEvent(deps, tx, call, { kind: "password_changed", userId, sessionId });
      return { revokedSessions, deviceToken: "" };
    };
    const response = await once(db, call, kept, clock, change).catch(async (error: unknown) => {
      if (error !== wrong || verified) throw error;
      throw await failed(deps, call, { counts, error: wrong });
    });
    // Nobody is told that their password was changed to one that it is not.
    const passwordHash = first ? after : await passwordHashOf(db, userId);
    if (!first && !(await passwords.verify(passwordHash, request.newPassword, call.signal))) {
      throw await failed(deps, call, { counts, error: otherPassword() });
    }
    const device = deviceToken(deps, { userId, passwordHash: passwordHash ?? after, deviceId: undefined });
    return { ...response, deviceToken: device };
  };

/** Counts a password that was wrong, and writes of it. */
function failed(
  deps: Deps,
  call: Call,
  { counts, error }: { readonly counts: Counts; readonly error: RpcError },
): Promise<RpcError> {
  const { id: userId, sessionId } = userOf(call);
  const record = (tx: Transaction) =>
    recordEvent(deps, tx, call, { kind: "password_change_failed", userId, sessionId });
  return noteFailure(deps, call, { counts, error, record });
}

async function passwordHashOf(db: Database, userId: string): Promise<string | undefined> {
  return (await store.getUser(db, userId))?.passwordHash;
}

function currentPasswordWrong(): RpcError {
  return fail("CREDENTIALS_INVALID", "The current password is wrong.");
}
