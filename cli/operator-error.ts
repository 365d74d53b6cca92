/** Exit codes of the command: 1 for what could not be done, 2 for what was asked wrongly. */
export const exitCodes = { ok: 0, failed: 1, usage: 2 } as const;

/**
 * Something the operator can put right: shown as one line, then its details, never with a stack.
 * Neither may hold a secret.
 */
export class OperatorError extends Error {
  /** Further lines, for example the last words of a process that failed. */
  readonly details: readonly string[];
  /** What the command exits with. */
  readonly exitCode: number;

  constructor(message: string, options: { details?: readonly string[]; exitCode?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = "OperatorError";
    this.details = options.details ?? [];
    this.exitCode = options.exitCode ?? exitCodes.failed;
  }
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a system error (`EADDRINUSE`), where there is one. */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
