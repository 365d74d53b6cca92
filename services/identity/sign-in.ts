import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import type {
  ChangePasswordRequest,
  ChangePasswordResponse,
  CreateGuestRequest,
  CreateGuestResponse,
  SignInRequest,
  SignInResponse,
  SignUpRequest,
  SignUpResponse,
} from "#gen/shop/identity/v1/identity_service.ts";
import { failures, meshFailure } from "#mesh/contract/errors.ts";
import { type Database, isUniqueViolation, once, type Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { type Deps, userOf } from "./deps.ts";
import { normalizeEmail } from "./domain.ts";
import { issueFirstTokens, openSession, sessionMessage } from "./sessions.ts";
import * as store from "./store.ts";

const fail = failures(IdentityService);

/** What stands in for a password in what is remembered of a request: not even its digest is kept. */
const NOT_KEPT = "";

/** An answer as it is stored: who and which session, and no token. */
type Opened = Pick<SignInResponse, "userId" | "session">;

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
    const email = normalizeEmail(request.email);
    const passwordHash = await deps.passwords.hash(request.password, call.signal);
    let first = false;
    const opened = await once(deps.db, call, remembered(request), deps.clock, async (tx): Promise<SignUpResponse> => {
      first = true;
      const userId = deps.newId("usr");
      tx.about(userId);
      await insertCustomer(tx, { id: userId, kind: "customer", email, passwordHash, now: deps.clock.now() });
      return open(deps, tx, userId);
    });
    // The tokens of a repeated call are for whoever knows the password, and nobody else.
    if (!first && !(await isPasswordOf(deps, { userId: opened.userId, email }, request.password, call.signal))) {
      throw otherPassword();
    }
    return withTokens(deps, opened);
  };

async function insertCustomer(tx: Transaction, user: Parameters<typeof store.insertUser>[1]): Promise<void> {
  try {
    await store.insertUser(tx, user);
  } catch (error) {
    if (!isUniqueViolation(error, "users_email_key")) throw error;
    throw fail("EMAIL_TAKEN", "Somebody has signed up with this e-mail address.");
  }
}

export const signIn =
  (deps: Deps) =>
  async (request: SignInRequest, call: Call): Promise<SignInResponse> => {
    const user = await store.findUserByEmail(deps.db, normalizeEmail(request.email));
    const verified = await deps.passwords.verify(user?.passwordHash, request.password, call.signal);
    if (!verified || user?.passwordHash === undefined) throw credentialsInvalid();
    const { id, passwordHash } = user;
    const opened = await once(deps.db, call, remembered(request), deps.clock, async (tx): Promise<SignInResponse> => {
      // A change of the password since it was verified has ended all sessions; this one must not come after it.
      if (!(await store.keepPassword(tx, id, passwordHash))) throw credentialsInvalid();
      tx.about(id);
      return open(deps, tx, id);
    });
    return withTokens(deps, opened);
  };

export const changePassword =
  (deps: Deps) =>
  async (request: ChangePasswordRequest, call: Call): Promise<ChangePasswordResponse> => {
    const { db, clock, passwords } = deps;
    const { id: userId, sessionId } = userOf(call);
    const kept = { ...request, currentPassword: NOT_KEPT, newPassword: NOT_KEPT };
    // Hashing takes its time, and takes it outside the transaction, where it holds no connection and no lock.
    const before = await passwordHashOf(db, userId);
    const verified = await passwords.verify(before, request.currentPassword, call.signal);
    const after = await passwords.hash(request.newPassword, call.signal);
    let first = false;
    const response = await once(db, call, kept, clock, async (tx): Promise<ChangePasswordResponse> => {
      first = true;
      // Of two changes at once the later one finds that the password is another. That it is wrong is said only now:
      // a copy of a change that went through comes with what was the password then.
      const changed = verified && before !== undefined && (await store.updatePassword(tx, { userId, before, after }));
      if (!changed) throw fail("CREDENTIALS_INVALID", "The current password is wrong.");
      const revokedSessions = await store.revokeOtherSessions(tx, { keepId: sessionId, userId, now: clock.now() });
      return { revokedSessions };
    });
    // Nobody is told that their password was changed to one that it is not.
    if (!first && !(await passwords.verify(await passwordHashOf(db, userId), request.newPassword, call.signal))) {
      throw otherPassword();
    }
    return response;
  };

/** A request without its password, for `once` to tell copies by. */
function remembered<Request extends { readonly password: string }>(request: Request): Request {
  return { ...request, password: NOT_KEPT };
}

async function open({ newId, clock }: Deps, tx: Transaction, userId: string): Promise<Opened & { tokens: undefined }> {
  const session = await openSession(tx, { id: newId("ses"), userId, now: clock.now() });
  return { userId, session: sessionMessage(session, session.id), tokens: undefined };
}

async function withTokens(deps: Deps, { userId, session }: Opened): Promise<SignInResponse> {
  if (session === undefined) throw new TypeError("an opened session is missing from its answer");
  return { userId, ...(await issueFirstTokens(deps, session.id, deps.clock.now())) };
}

async function isPasswordOf(
  { db, passwords }: Deps,
  { userId, email }: { readonly userId: string; readonly email: string },
  password: string,
  signal: AbortSignal,
): Promise<boolean> {
  const user = await store.findUserByEmail(db, email);
  return (await passwords.verify(user?.passwordHash, password, signal)) && user?.id === userId;
}

async function passwordHashOf(db: Database, userId: string): Promise<string | undefined> {
  return (await store.getUser(db, userId))?.passwordHash;
}

function otherPassword(): Error {
  return meshFailure("REQUEST_ID_REUSED", "This request_id came before with another password; nothing was done.");
}

function credentialsInvalid(): Error {
  return fail("CREDENTIALS_INVALID", "The e-mail address and the password do not go together.");
}
