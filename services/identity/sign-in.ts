import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import type { SignInRequest, SignInResponse } from "#gen/shop/identity/v1/identity_service.ts";
import type { Session, Tokens } from "#gen/shop/identity/v1/session.ts";
import { failures, meshFailure, type RpcError } from "#mesh/contract/errors.ts";
import { once, type Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { expectAttempt, noteFailure, noteSuccess, signInCounts } from "./attempts.ts";
import type { Deps } from "./deps.ts";
import { deviceToken, knownDevice } from "./devices.ts";
import { normalizeEmail } from "./domain.ts";
import { recordEvent } from "./events.ts";
import { issueFirstTokens, openSession, sessionMessage } from "./sessions.ts";
import * as store from "./store.ts";

const fail = failures(IdentityService);

/** What stands in for a password in what is remembered of a request: not even its digest is kept. */
export const NOT_KEPT = "";

/** An answer as it is stored: who and which session, and no token. */
export type Opened = Pick<SignInResponse, "userId" | "session">;

/**
 * Known and unknown addresses take the same way: the same reads, a hash that is verified, the same counts and writes.
 */
export const signIn =
  (deps: Deps) =>
  async (request: SignInRequest, call: Call): Promise<SignInResponse> => {
    const email = normalizeEmail(request.email);
    const user = await store.findUserByEmail(deps.db, email);
    const deviceId = knownDevice(deps, request.deviceToken, user);
    const counts = signInCounts(deps, call, { email, deviceId });
    await expectAttempt(deps, counts);
    const verified = await deps.passwords.verify(user?.passwordHash, request.password, call.signal);
    if (!verified || user?.passwordHash === undefined) {
      const userId = user?.id ?? NOBODY;
      throw await noteFailure(deps, call, {
        counts,
        error: credentialsInvalid(),
        record: (tx, blocked) => {
          const kind = blocked ? "sign_in_blocked" : "sign_in_failed";
          return recordEvent(deps, tx, call, { kind, userId, knownDevice: deviceId !== undefined });
        },
      });
    }
    await noteSuccess(deps, counts);
    const { id: userId, passwordHash } = user;
    const opened = await once(deps.db, call, remembered(request), deps.clock, async (tx): Promise<SignInResponse> => {
      // A change of the password since it was verified has ended all sessions; this one must not come after it.
      if (!(await store.keepPassword(tx, userId, passwordHash))) throw credentialsInvalid();
      tx.about(userId);
      const made = await open(deps, tx, userId);
      const sessionId = made.session?.id;
      await recordEvent(deps, tx, call, { kind: "signed_in", userId, sessionId, knownDevice: deviceId !== undefined });
      return { ...made, deviceToken: "" };
    });
    const device = deviceToken(deps, { userId, passwordHash, deviceId });
    return { ...(await withTokens(deps, opened)), deviceToken: device };
  };

/** Whose events are not written. */
const NOBODY = "";

/** A request without its secrets, for `once` to tell copies by. */
export function remembered<Request extends { readonly password: string }>(request: Request): Request {
  return { ...request, password: NOT_KEPT, ...("deviceToken" in request ? { deviceToken: NOT_KEPT } : {}) };
}

/** Opens a session, without tokens. */
export async function open(
  { newId, clock }: Deps,
  tx: Transaction,
  userId: string,
): Promise<Opened & { tokens: undefined }> {
  const session = await openSession(tx, { id: newId("ses"), userId, now: clock.now() });
  return { userId, session: sessionMessage(session, session.id), tokens: undefined };
}

/** An opened session with its first tokens. */
export async function withTokens(
  deps: Deps,
  { userId, session }: Opened,
): Promise<{ readonly userId: string; readonly session: Session; readonly tokens: Tokens }> {
  if (session === undefined) throw new TypeError("an opened session is missing from its answer");
  return { userId, ...(await issueFirstTokens(deps, session.id, deps.clock.now())) };
}

/** The failure of a copy of a request that came with another password. */
export function otherPassword(): RpcError {
  return meshFailure("REQUEST_ID_REUSED", "This request_id came before with another password; nothing was done.");
}

function credentialsInvalid(): RpcError {
  return fail("CREDENTIALS_INVALID", "The e-mail address and the password do not go together.");
}
