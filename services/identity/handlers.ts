import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import type {
  ListSessionsRequest,
  ListSessionsResponse,
  RevokeSessionRequest,
  RevokeSessionResponse,
  SignOutRequest,
  SignOutResponse,
} from "#gen/shop/identity/v1/identity_service.ts";
import type { Handlers } from "#mesh/contract/contract.ts";
import { failures } from "#mesh/contract/errors.ts";
import { once } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { decodeIdToken, pageById } from "#mesh/rpc/page-token.ts";
import { changePassword } from "./change-password.ts";
import { type Deps, userOf } from "./deps.ts";
import { listSecurityEvents, recordEvent } from "./events.ts";
import { eraseCustomerData, exportCustomerData } from "./personal-data.ts";
import { refreshSession } from "./refresh-session.ts";
import { grantRole, revokeRole } from "./roles.ts";
import { sessionMessage } from "./sessions.ts";
import { signIn } from "./sign-in.ts";
import { createGuest, signUp } from "./sign-up.ts";
import { getSigningKeys, rotateSigningKey } from "./signing-key-handlers.ts";
import * as store from "./store.ts";

const fail = failures(IdentityService);

const SESSIONS_PAGE_SIZE = 20;

/** The handlers of `shop.identity.v1.IdentityService`. */
export function identityHandlers(deps: Deps): Handlers<typeof IdentityService> {
  return {
    createGuest: createGuest(deps),
    signUp: signUp(deps),
    signIn: signIn(deps),
    refreshSession: refreshSession(deps),
    signOut: signOut(deps),
    changePassword: changePassword(deps),
    listSessions: listSessions(deps),
    revokeSession: revokeSession(deps),
    listSecurityEvents: listSecurityEvents(deps),
    getSigningKeys: getSigningKeys(deps),
    rotateSigningKey: rotateSigningKey(deps),
    grantRole: grantRole(deps),
    revokeRole: revokeRole(deps),
    exportCustomerData: exportCustomerData(deps),
    eraseCustomerData: eraseCustomerData(deps),
  };
}

const signOut =
  ({ db, clock }: Deps) =>
  async (request: SignOutRequest, call: Call): Promise<SignOutResponse> => {
    const { id: userId, sessionId } = userOf(call);
    return once(db, call, request, clock, async (tx) => {
      await store.revokeSession(tx, { id: sessionId, userId, now: clock.now() });
      return {};
    });
  };

const listSessions =
  ({ db, clock }: Deps) =>
  async ({ pageSize, pageToken }: ListSessionsRequest, call: Call): Promise<ListSessionsResponse> => {
    const { id: userId, sessionId } = userOf(call);
    const beforeId = decodeIdToken(userId, pageToken, "ses");
    const limit = pageSize === 0 ? SESSIONS_PAGE_SIZE : pageSize;
    const found = await store.listSessions(db, { userId, beforeId, limit: limit + 1, now: clock.now() });
    const { items, nextPageToken } = pageById(found, { limit, filter: userId });
    return { sessions: items.map((row) => sessionMessage(row, sessionId)), nextPageToken };
  };

const revokeSession =
  (deps: Deps) =>
  async (request: RevokeSessionRequest, call: Call): Promise<RevokeSessionResponse> => {
    const { db, clock } = deps;
    const { id: userId } = userOf(call);
    const { sessionId } = request;
    return once(db, call, request, clock, async (tx) => {
      const revoked = await store.revokeSession(tx, { id: sessionId, userId, now: clock.now() });
      if (revoked) await recordEvent(deps, tx, call, { kind: "session_revoked", userId, sessionId });
      else throw fail("SESSION_NOT_FOUND", "You have no such session, or it has ended.");
      return {};
    });
  };
