import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import type {
  CreateGuestRequest,
  CreateGuestResponse,
  SignUpRequest,
  SignUpResponse,
} from "#gen/shop/identity/v1/identity_service.ts";
import { failures, isReason } from "#mesh/contract/errors.ts";
import { isUniqueViolation, type OnceTransaction, once, type Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { expectAttempt, noteFailure, noteSuccess, signInCounts, signUpCounts } from "./attempts.ts";
import type { Deps } from "./deps.ts";
import { deviceToken } from "./devices.ts";
import { normalizeEmail } from "./domain.ts";
import { recordEvent } from "./events.ts";
import { type Opened, open, otherPassword, remembered, withTokens } from "./sign-in.ts";
import * as store from "./store.ts";

const fail = failures(IdentityService);

export const createGuest =
  (deps: Deps) =>
  async (request: CreateGuestRequest, call: Call): Promise<CreateGuestResponse> => {
    const opened = await once(deps.db, call, request, deps.clock, async (tx): Promise<CreateGuestResponse> => {
      const userId = deps.newId("usr");
      tx.about(userId);
      await store.insertUser(tx, { id: userId, kind: "guest", now: deps.clock.now() });
      return open(deps, tx, userId);
    });
    return withTokens(deps, opened);
  };

export const signUp =
  (deps: Deps) =>
  async (request: SignUpRequest, call: Call): Promise<SignUpResponse> => {
    const { db, clock, passwords } = deps;
    const email = normalizeEmail(request.email);
    // That an address is taken tells who is a customer here, so whoever hears it often has to wait.
    const counts = signUpCounts(deps, call);
    await expectAttempt(deps, counts);
    let passwordHash = await passwords.hash(request.password, call.signal);
    let first = false;
    const sign = async (tx: OnceTransaction): Promise<SignUpResponse> => {
      first = true;
      const userId = deps.newId("usr");
      tx.about(userId);
      await insertCustomer(tx, { id: userId, kind: "customer", email, passwordHash, now: clock.now() });
      const opened = await open(deps, tx, userId);
      await recordEvent(deps, tx, call, { kind: "signed_up", userId, sessionId: opened.session?.id });
      return { ...opened, deviceToken: "" };
    };
    let opened: Opened;
    try {
      opened = await once(db, call, remembered(request), clock, sign);
    } catch (error) {
      if (!isReason(error, "EMAIL_TAKEN")) throw error;
      throw await noteFailure(deps, call, { counts, error });
    }
    // The tokens of a repeated call are for whoever knows the password, and nobody else.
    if (!first) passwordHash = await verifyAgain(deps, call, { request, email, userId: opened.userId });
    const device = deviceToken(deps, { userId: opened.userId, passwordHash, deviceId: undefined });
    return { ...(await withTokens(deps, opened)), deviceToken: device };
  };

async function insertCustomer(tx: Transaction, user: Parameters<typeof store.insertUser>[1]): Promise<void> {
  try {
    await store.insertUser(tx, user);
  } catch (error) {
    if (!isUniqueViolation(error, "users_email_key")) throw error;
    throw fail("EMAIL_TAKEN", "Somebody has signed up with this e-mail address.");
  }
}

/** Tells who repeats a sign-up from who has come upon its request_id, and counts the tries as those of a sign-in. */
async function verifyAgain(
  deps: Deps,
  call: Call,
  { request, email, userId }: { readonly request: SignUpRequest; readonly email: string; readonly userId: string },
): Promise<string> {
  const counts = signInCounts(deps, call, { email, deviceId: undefined });
  await expectAttempt(deps, counts);
  const user = await store.findUserByEmail(deps.db, email);
  const verified = await deps.passwords.verify(user?.passwordHash, request.password, call.signal);
  if (!verified || user?.passwordHash === undefined || user.id !== userId) {
    throw await noteFailure(deps, call, { counts, error: otherPassword() });
  }
  await noteSuccess(deps, counts);
  return user.passwordHash;
}
