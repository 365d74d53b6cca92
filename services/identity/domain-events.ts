/** What bears on who can act as whom. */
export type SecurityEventKind =
  | "signed_up"
  | "signed_in"
  | "sign_in_failed"
  | "sign_in_blocked"
  | "refresh_token_reused"
  | "password_changed"
  | "password_change_failed"
  | "session_revoked"
  | "role_granted"
  | "role_revoked"
  | "signing_key_rotated"
  | "erased";
