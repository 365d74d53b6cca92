import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import type {
  GetSigningKeysResponse,
  ListSessionsRequest,
  ListSessionsResponse,
  RevokeSessionRequest,
  RevokeSessionResponse,
  SignOutRequest,
  SignOutResponse,
} from "#gen/shop/identity/v1/identity_service.ts";
import type { Handlers } from "#mesh/contract/contract.ts";
import { failures } from "#mesh/contract/errors.ts";
import { TOKEN_ALGORITHM } from "#mesh/identity/key-ring.ts";
import { once } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { decodeIdToken, pageById } from "#mesh/rpc/page-token.ts";
import { type Deps, userOf } from "./deps.ts";
import { eraseCustomerData, exportCustomerData } from "./personal-data.ts";
import { refreshSession } from "./refresh-session.ts";
import { grantRole, revokeRole } from "./roles.ts";
import { sessionMessage } from "./sessions.ts";
import { changePassword, createGuest, signIn, signUp } from "./sign-in.ts";
import { currentKeys } from "./signing-keys.ts";
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
    getSigningKeys: getSigningKeys(deps),
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
  ({ db, clock }: Deps) =>
  async (request: RevokeSessionRequest, call: Call): Promise<RevokeSessionResponse> => {
    const { id: userId } = userOf(call);
    return once(db, call, request, clock, async (tx) => {
      const revoked = await store.revokeSession(tx, { id: request.sessionId, userId, now: clock.now() });
      if (!revoked) throw fail("SESSION_NOT_FOUND", "You have no such session, or it has ended.");
      return {};
    });
  };

const getSigningKeys =
  ({ db, clock }: Deps) =>
  async (): Promise<GetSigningKeysResponse> => {
    const keys = await currentKeys(db, clock);
    return {
      keys: keys.map(({ id, x, createTime }) => ({
        keyId: id,
        algorithm: TOKEN_ALGORITHM,
        curve: "Ed25519",
        x,
        createTime,
      })),
    };
  };
