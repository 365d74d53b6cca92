export type UserKind = "guest" | "customer";

/** How long an access token is good. Short, because it cannot be called back. */
export const ACCESS_TOKEN_MS = 15 * 60 * 1_000;
/** How long a refresh token is good, and with it a session that nobody refreshes. */
export const REFRESH_TOKEN_MS = 30 * 24 * 60 * 60 * 1_000;

/** Where a session stands when somebody comes with one of its refresh tokens. */
export interface SessionState {
  readonly generation: number;
  readonly refreshRequestId: string | undefined;
  readonly expireTime: Date;
  readonly revoked: boolean;
}

/** A refresh token as it is remembered. One whose answer was lost is forgotten when another takes its place. */
export interface TokenState {
  readonly generation: number;
}

/** What to do about a refresh token: make the tokens of a generation, refuse it, or end the session as well. */
export type RefreshPlan =
  | { readonly kind: "issue"; readonly generation: number; readonly replay: boolean }
  | { readonly kind: "reused_request_id" }
  | { readonly kind: "refuse" }
  | { readonly kind: "revoke" };

/**
 * What a refresh token that was presented leads to. The token of the session's generation leads to the next one. The
 * token of the generation before is good for the very request that used it, whose answer may have been lost; from
 * anybody else it means that two hold it, and the session ends.
 */
export function planRefresh(session: SessionState, token: TokenState, requestId: string, now: Date): RefreshPlan {
  if (session.revoked || session.expireTime <= now) return { kind: "refuse" };
  const { generation } = session;
  const sameRequest = session.refreshRequestId === requestId;
  if (token.generation === generation) {
    return sameRequest ? { kind: "reused_request_id" } : { kind: "issue", generation: generation + 1, replay: false };
  }
  if (token.generation === generation - 1 && sameRequest) return { kind: "issue", generation, replay: true };
  return { kind: "revoke" };
}

/** An e-mail address in the form in which it is compared. */
export function normalizeEmail(email: string): string {
  return email.trim().toLowerCase();
}
