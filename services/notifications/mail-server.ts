import { createTransport } from "nodemailer";
import type { SmtpError } from "./domain.ts";
import type { Words } from "./letters.ts";
import type { Sender, SmtpSettings } from "./settings.ts";

/** How many connections to the mail server one process has at the most, and so how many mails it sends at a time. */
export const MAX_CONNECTIONS = 5;
/** How many mails go over one connection before it is closed: some servers count. */
const MAILS_PER_CONNECTION = 100;
/** How long a connection may take to be there, the server's greeting included. */
const CONNECT_TIMEOUT_MS = 10_000;
/**
 * How long a server may say nothing. It may take its time over a mail's end, and it is not asked twice without need: RFC
 * 5321, 4.5.3.2, wants some minutes.
 */
const SILENCE_TIMEOUT_MS = 2 * 60_000;
/** How long a connection is kept that nobody uses. */
const IDLE_MS = 10_000;
/** How large an answer of the server may be. */
const MAX_ANSWER_BYTES = 64 * 1_024;

/** A mail as it is handed in. */
export interface Mail extends Words {
  /** Without brackets. */
  readonly messageId: string;
  readonly email: string;
  /** When it was written, whenever it is sent. */
  readonly time: Date;
  readonly orderId: string;
}

/** The mail server that takes the shop's mails. */
export interface MailServer {
  /**
   * Hands in a mail: undefined when the server took it, and what went wrong otherwise. Whether a mail was taken whose
   * answer did not come is unknown. Closes its connection and ends when `signal` aborts.
   */
  send(mail: Mail, signal: AbortSignal): Promise<SmtpError | undefined>;
  /** Closes all connections. */
  close(): void;
}

/** Opens connections as mails come. Nothing of a mail or a session is ever logged. */
export function connectMailServer({ host, port, tls, credentials }: SmtpSettings, from: Sender): MailServer {
  const transport = createTransport({
    pool: true,
    host,
    port,
    secure: tls === "always",
    requireTLS: tls === "upgrade",
    ignoreTLS: tls === "none",
    auth: credentials === undefined ? undefined : { user: credentials.user, pass: credentials.password },
    maxConnections: MAX_CONNECTIONS,
    maxMessages: MAILS_PER_CONNECTION,
    // For a kept connection that the server has closed: before a byte of the mail is sent. The rest is the caller's.
    maxRequeues: 1,
    idleTimeout: IDLE_MS,
    connectionTimeout: CONNECT_TIMEOUT_MS,
    dnsTimeout: CONNECT_TIMEOUT_MS,
    greetingTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENCE_TIMEOUT_MS,
    socketCloseTimeout: 0,
    maxResponseSize: MAX_ANSWER_BYTES,
    // Mails are made of given texts alone, whatever these look like.
    disableFileAccess: true,
    disableUrlAccess: true,
    logger: false,
  });
  return {
    async send(mail, signal) {
      try {
        await transport.sendMail({ ...messageOf(mail, from), signal });
        return undefined;
      } catch (error) {
        return knownParts(error);
      }
    },
    close: () => transport.close({ force: true }),
  };
}

function messageOf({ messageId, email, time, orderId, subject, text, html }: Mail, from: Sender) {
  return {
    envelope: { from: from.email, to: email },
    from: { name: from.name, address: from.email },
    to: { name: "", address: email },
    subject,
    text,
    html,
    date: time,
    messageId: `<${messageId}>`,
    // One that all mails of an order refer to, so that readers show them together.
    references: `<${orderId.replaceAll(/[^A-Za-z0-9._-]/g, "_")}@${from.domain}>`,
    // So that nobody's holiday answers it: RFC 3834.
    headers: { "Auto-Submitted": "auto-generated" },
    // A mail that is sent again is the same to the last byte.
    baseBoundary: messageId.split("@")[0],
    encoding: "quoted-printable",
  } as const;
}

function knownParts(error: unknown): SmtpError {
  if (typeof error !== "object" || error === null) return {};
  const { code, command, responseCode, response }: Readonly<Record<string, unknown>> = { ...error };
  return {
    code: typeof code === "string" ? code : undefined,
    command: typeof command === "string" ? command : undefined,
    responseCode: typeof responseCode === "number" ? responseCode : undefined,
    response: typeof response === "string" ? response : undefined,
  };
}
