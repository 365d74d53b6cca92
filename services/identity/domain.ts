export type UserKind = "guest" | "customer";

/** How long an access token is good. Short, because it cannot be called back. */
export const ACCESS_TOKEN_MS = 15 * 60 * 1_000;
/** How long a refresh token is good, and with it a session that nobody refreshes. */
export const REFRESH_TOKEN_MS = 30 * 24 * 60 * 60 * 1_000;

/** How long after a refresh its very request can be repeated, when its answer was lost. */
export const REFRESH_GRACE_MS = 10 * 60 * 1_000;

/** Where a session stands when somebody comes with one of its refresh tokens. */
export interface SessionState {
  readonly generation: number;
  readonly refreshRequestId: string | undefined;
  /** When this generation began. */
  readonly refreshTime: Date;
  readonly expireTime: Date;
  readonly revoked: boolean;
}

/** A refresh token as it is remembered. */
export interface TokenState {
  readonly generation: number;
}

/** What to do about a refresh token: move on to a generation, repeat an answer, refuse it, or end the session as well. */
export type RefreshPlan =
  | { readonly kind: "advance"; readonly generation: number }
  | { readonly kind: "repeat" }
  | { readonly kind: "reused_request_id" }
  | { readonly kind: "refuse" }
  | { readonly kind: "revoke" };

/**
 * What a refresh token that was presented leads to. The token of the session's generation leads to the next one. The
 * token of the generation before is good for the very request that used it, whose answer may have been lost, for a
 * while; else it means that two hold it, and the session ends. A thief who has seen the whole request gets the answer
 * that its maker got, no other: of the two, whoever uses it second ends the session.
 */
export function planRefresh(session: SessionState, token: TokenState, requestId: string, now: Date): RefreshPlan {
  if (session.revoked || session.expireTime <= now) return { kind: "refuse" };
  const { generation, refreshTime } = session;
  const sameRequest = session.refreshRequestId === requestId;
  if (token.generation === generation) {
    return sameRequest ? { kind: "reused_request_id" } : { kind: "advance", generation: generation + 1 };
  }
  const lately = now.getTime() - refreshTime.getTime() < REFRESH_GRACE_MS;
  if (token.generation === generation - 1 && sameRequest && lately) return { kind: "repeat" };
  return { kind: "revoke" };
}

/** An e-mail address in the form in which it is compared. */
export function normalizeEmail(email: string): string {
  return email.trim().toLowerCase();
}
