/** What a mail tells. */
export type Kind = "ORDER_CONFIRMATION" | "SHIPPED" | "DELIVERED" | "REFUND";

/** The life of a notification; see the contract. */
export type State = "QUEUED" | "SENT" | "FAILED" | "ERASED";

/** How long a mail is tried. */
export const GIVE_UP_AFTER_MS: number = 3 * 24 * 60 * 60 * 1_000;
/** The wait after the first try that failed; twice as much after each further one. */
const FIRST_BACKOFF_MS = 5_000;
/** The longest wait from one try to the next. */
const MAX_BACKOFF_MS: number = 60 * 60 * 1_000;

/** How long to wait after another try has failed, given the wait before it; 0 when there was none. */
export function nextBackoff(backoffMs: number): number {
  return backoffMs === 0 ? FIRST_BACKOFF_MS : Math.min(2 * backoffMs, MAX_BACKOFF_MS);
}

/** The same wait a little shorter or longer, by `chance` from 0 to 1, so that what failed together does not come together. */
export function spread(waitMs: number, chance: number): number {
  return Math.round(waitMs * (0.9 + 0.2 * chance));
}

/** What is known of a try that failed. Nothing of it but numbers and names from a list goes any further. */
export interface SmtpError {
  /** What kind of failure it is, by the client's name for it: `ETIMEDOUT`, `EENVELOPE`. */
  readonly code?: string;
  /** At which command: `RCPT TO`. */
  readonly command?: string;
  /** The number with which the server answered: 550. */
  readonly responseCode?: number;
  /** The whole answer. It may name the recipient. */
  readonly response?: string;
}

/**
 * Whose failure it is. `refused`: the server will never take this mail. `deferred`: it does not take it now. `no_server`:
 * no mail gets through, be it that nobody answers, or that the server does not let us in.
 */
export type Fault = "refused" | "deferred" | "no_server";

export interface Failure {
  readonly fault: Fault;
  /** For people, and without addresses. */
  readonly error: string;
}

const COMMANDS: readonly string[] = ["EHLO", "HELO", "STARTTLS", "MAIL FROM", "RCPT TO", "DATA"];
/** At these commands the answer is about the mail: its recipient or its words. */
const MAIL_COMMANDS: readonly string[] = ["RCPT TO", "DATA"];
/** The mail is larger than the server takes, whoever sends it: RFC 5321, 4.2.3. */
const TOO_LARGE = 552;
/** The server shuts down: RFC 5321, 3.8. */
const SHUTTING_DOWN = 421;
/** The server wants somebody who is known, or knows nobody by these credentials: RFC 4954, 6. */
const NOT_LET_IN: readonly number[] = [454, 530, 534, 535, 538];
/** A command at the wrong moment: of the session, not of the mail; RFC 5321, 4.2.2. */
const BAD_SEQUENCE = 503;

/**
 * What a failed try means. An answer about the mail itself decides over the mail: 5yz for ever, 4yz for now (RFC 5321,
 * 4.2.1). All else, a refused sender or password too, is a matter between the shop and its mail server, that somebody will
 * mend: no mail is given up for it before its time.
 */
export function judge(error: SmtpError): Failure {
  const { responseCode: answer } = error;
  const words = describe(error);
  if (answer === TOO_LARGE) return { fault: "refused", error: words };
  const isOfMail = error.command !== undefined && MAIL_COMMANDS.includes(error.command);
  if (answer === undefined || answer === SHUTTING_DOWN || NOT_LET_IN.includes(answer) || !isOfMail) {
    return { fault: "no_server", error: words };
  }
  const isForGood = answer >= 500 && answer < 600 && answer !== BAD_SEQUENCE;
  return { fault: isForGood ? "refused" : "deferred", error: words };
}

/** A failure in words that a program could have made up: servers repeat addresses in theirs. */
function describe({ code, command, responseCode, response }: SmtpError): string {
  const known = command !== undefined && COMMANDS.includes(command) ? command : undefined;
  const at = known ?? (command?.startsWith("AUTH") === true ? "AUTH" : "connection");
  if (responseCode !== undefined) {
    // RFC 3463: class, subject and detail.
    const enhanced = /^\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})\b/.exec(response ?? "")?.[1];
    return `${at}: answered ${responseCode}${enhanced === undefined ? "" : ` ${enhanced}`}`;
  }
  return `${at}: ${/^E[A-Z]{2,20}$/.test(code ?? "") ? code : "failed"}`;
}
