import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import type { RefreshSessionRequest, RefreshSessionResponse } from "#gen/shop/identity/v1/identity_service.ts";
import { systemClock } from "#mesh/clock.ts";
import { failures, meshFailure, type RpcError } from "#mesh/contract/errors.ts";
import type { Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Deps } from "./deps.ts";
import { planRefresh, REFRESH_TOKEN_MS } from "./domain.ts";
import { recordEvent } from "./events.ts";
import { digest, sessionMessage, tokensOf } from "./sessions.ts";
import * as store from "./store.ts";

const fail = failures(IdentityService);

/** What a transaction over a session came to: the session moved on, or an error that must not undo its end. */
type Outcome =
  | { readonly kind: "issued"; readonly session: store.LockedSession; readonly token: string }
  | { readonly kind: "failed"; readonly error: RpcError; readonly because?: "reuse" };

export const refreshSession =
  (deps: Deps) =>
  async (request: RefreshSessionRequest, call: Call): Promise<RefreshSessionResponse> => {
    const now = deps.clock.now();
    const outcome = await deps.db.transaction((tx) => exchange(deps, tx, { request, call, now }), {
      statementTimeoutMs: call.deadline - systemClock.now().getTime(),
    });
    if (outcome.kind === "failed") {
      if (outcome.because === "reuse") call.log.warn("a refresh token came back after its use; its session was ended");
      throw outcome.error;
    }
    const { session, token } = outcome;
    return { session: sessionMessage(session, session.id), tokens: await tokensOf(deps, session, token, now) };
  };

/** One exchange of a refresh token. */
interface Exchange {
  readonly request: RefreshSessionRequest;
  readonly call: Call;
  readonly now: Date;
}

/** Moves the session of a refresh token on to the next one. */
async function exchange(deps: Deps, tx: Transaction, { request, call, now }: Exchange): Promise<Outcome> {
  const { refreshToken, requestId } = request;
  const presented = digest(refreshToken);
  const found = await store.findToken(tx, presented);
  if (found === undefined) return invalid();
  const session = await store.lockSession(tx, found.sessionId);
  // Whoever has gone cannot be given a token: to advance now would make their next try look like a thief's.
  call.signal.throwIfAborted();
  // Read again under the lock: a call at the same time may have replaced the session's first one.
  const token = await store.findToken(tx, presented);
  if (session === undefined || token === undefined) return invalid();
  const plan = planRefresh(session, token, requestId, now);
  switch (plan.kind) {
    case "refuse":
      return invalid();
    case "reused_request_id":
      return {
        kind: "failed",
        error: meshFailure("REQUEST_ID_REUSED", "This request_id refreshed the session before."),
      };
    case "revoke": {
      const { id: sessionId, userId } = session;
      await store.revokeSession(tx, { id: sessionId, userId, now });
      await recordEvent(deps, tx, call, { kind: "refresh_token_reused", userId, sessionId });
      return { ...invalid(), because: "reuse" };
    }
    case "repeat":
      return issue(tx, session, deps.secrets.nextRefreshToken(refreshToken, requestId));
    case "advance": {
      const expireTime = new Date(now.getTime() + REFRESH_TOKEN_MS);
      const { generation } = plan;
      await store.advanceSession(tx, { id: session.id, generation, requestId, now, expireTime });
      const moved = { ...session, generation, refreshTime: now, expireTime };
      return issue(tx, moved, deps.secrets.nextRefreshToken(refreshToken, requestId));
    }
  }
}

/** The token of the session's generation; of a request that comes again it is there already. */
async function issue(tx: Transaction, session: store.LockedSession, token: string): Promise<Outcome> {
  const { id: sessionId, generation } = session;
  await store.addToken(tx, { sha256: digest(token), sessionId, generation });
  return { kind: "issued", session, token };
}

function invalid(): { readonly kind: "failed"; readonly error: RpcError } {
  return {
    kind: "failed",
    error: fail("REFRESH_TOKEN_INVALID", "The refresh token is not, or no longer, good; sign in again."),
  };
}
