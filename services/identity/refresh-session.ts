import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import type { RefreshSessionRequest, RefreshSessionResponse } from "#gen/shop/identity/v1/identity_service.ts";
import { systemClock } from "#mesh/clock.ts";
import { failures, meshFailure, type RpcError } from "#mesh/contract/errors.ts";
import type { Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Deps } from "./deps.ts";
import { planRefresh, REFRESH_TOKEN_MS } from "./domain.ts";
import { digest, newRefreshToken, sessionMessage, tokensOf } from "./sessions.ts";
import * as store from "./store.ts";

const fail = failures(IdentityService);

/** What a transaction over a session came to: the session moved on, or an error that must not undo its end. */
type Outcome =
  | { readonly kind: "issued"; readonly session: store.LockedSession }
  | { readonly kind: "failed"; readonly error: RpcError; readonly because?: "reuse" };

export const refreshSession =
  (deps: Deps) =>
  async (request: RefreshSessionRequest, call: Call): Promise<RefreshSessionResponse> => {
    const now = deps.clock.now();
    const { token, sha256 } = newRefreshToken();
    const outcome = await deps.db.transaction((tx) => advance(tx, request, { sha256, now, signal: call.signal }), {
      statementTimeoutMs: call.deadline - systemClock.now().getTime(),
    });
    if (outcome.kind === "failed") {
      if (outcome.because === "reuse") call.log.warn("a refresh token came back after its use; its session was ended");
      throw outcome.error;
    }
    const { session } = outcome;
    return { session: sessionMessage(session, session.id), tokens: await tokensOf(deps, session, token, now) };
  };

/** Moves the session of a refresh token on to a new one, which has this digest. */
async function advance(
  tx: Transaction,
  { refreshToken, requestId }: RefreshSessionRequest,
  { sha256, now, signal }: { readonly sha256: Buffer; readonly now: Date; readonly signal: AbortSignal },
): Promise<Outcome> {
  const presented = digest(refreshToken);
  const found = await store.findToken(tx, presented);
  if (found === undefined) return invalid();
  const session = await store.lockSession(tx, found.sessionId);
  // Whoever has gone cannot be given a token: to advance now would make their next try look like a thief's.
  signal.throwIfAborted();
  // Read again under the lock: a call at the same time may have replaced it.
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
    case "revoke":
      await store.revokeSession(tx, { id: session.id, userId: session.userId, now });
      return { ...invalid(), because: "reuse" };
    case "issue": {
      const expireTime = new Date(now.getTime() + REFRESH_TOKEN_MS);
      const { id } = session;
      await store.advanceSession(tx, { id, generation: plan.generation, requestId, now, expireTime });
      await store.insertToken(tx, { sha256, sessionId: id, generation: plan.generation });
      return { kind: "issued", session: { ...session, refreshTime: now, expireTime } };
    }
  }
}

function invalid(): { readonly kind: "failed"; readonly error: RpcError } {
  return {
    kind: "failed",
    error: fail("REFRESH_TOKEN_INVALID", "The refresh token is not, or no longer, good; sign in again."),
  };
}
