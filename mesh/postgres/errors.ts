import { DatabaseError } from "pg";

// SQLSTATE codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
const UNIQUE_VIOLATION = "23505";
const CHECK_VIOLATION = "23514";
const SERIALIZATION_FAILURE = "40001";
const DEADLOCK_DETECTED = "40P01";
const LOCK_NOT_AVAILABLE = "55P03";
const QUERY_CANCELED = "57014";
const FEATURE_NOT_SUPPORTED = "0A000";
const CONNECTION_EXCEPTION_CLASS = "08";
const SERVER_GOING_AWAY: ReadonlySet<string> = new Set(["57P01", "57P02", "57P03"]);

/** Whether a unique constraint or index refused the statement; `constraint` narrows it to the one of that name. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  return hasCode(error, UNIQUE_VIOLATION) && isOf(error, constraint);
}

/** Whether a check constraint refused the statement; `constraint` narrows it to the one of that name. */
export function isCheckViolation(error: unknown, constraint?: string): boolean {
  return hasCode(error, CHECK_VIOLATION) && isOf(error, constraint);
}

/** Whether the transaction lost against a concurrent one (a deadlock among them), and would pass if run again. */
export function isSerializationFailure(error: unknown): boolean {
  return hasCode(error, SERIALIZATION_FAILURE) || hasCode(error, DEADLOCK_DETECTED);
}

/** Whether the server gave the statement up for its time: it waited too long for a lock, or ran too long. */
export function isTimeout(error: unknown): boolean {
  return hasCode(error, LOCK_NOT_AVAILABLE) || hasCode(error, QUERY_CANCELED);
}

/** Whether a prepared statement no longer fits the schema, which a migration changed under it. */
export function isStalePlan(error: unknown): boolean {
  return hasCode(error, FEATURE_NOT_SUPPORTED) && error instanceof Error && error.message.startsWith("cached plan");
}

/** Whether the connection is gone, or the server is on its way down or up. */
export function isConnectionLoss(error: unknown): boolean {
  if (error instanceof DatabaseError) {
    const code = error.code ?? "";
    return code.startsWith(CONNECTION_EXCEPTION_CLASS) || SERVER_GOING_AWAY.has(code);
  }
  // What is not the server's own word comes from the socket, or from the driver when it finds the socket dead.
  if (!(error instanceof Error)) return false;
  const code = "code" in error ? error.code : undefined;
  if (typeof code === "string" && /^(ECONN|EPIPE|ENOTFOUND|EAI_|ETIMEDOUT|EHOST|ENET)/.test(code)) return true;
  return /^Connection terminated|connection error and is not queryable|^Client was closed/.test(error.message);
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof DatabaseError && error.code === code;
}

function isOf(error: unknown, constraint: string | undefined): boolean {
  return constraint === undefined || (error instanceof DatabaseError && error.constraint === constraint);
}
