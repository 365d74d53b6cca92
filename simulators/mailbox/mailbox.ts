import { once } from "node:events";
import type { AddressInfo } from "node:net";
import type { Logger } from "pino";
import { SMTPServer, type SMTPServerDataStream } from "smtp-server";
import { type Clock, systemClock } from "#mesh/clock.ts";
import { type MailFolder, openMailFolder } from "./folder.ts";

const HOST = "127.0.0.1";
/** How large a mail may be; a larger one is answered 552. */
const MAX_MAIL_BYTES = 1_024 * 1_024;
/** How many mails are kept, of three files each: the newest. */
const MAX_MAILS = 3_333;
/** How many connections there may be; one more is answered 421. */
const MAX_CONNECTIONS = 50;
const MAX_RECIPIENTS = 10;
/** How long a client may say nothing. */
const SILENCE_TIMEOUT_MS = 60_000;
/** How long clients may go on once the mailbox closes. */
const CLOSE_MS = 1_000;

export interface MailboxOptions {
  /** 0 takes any free port. */
  readonly port: number;
  /** Where mails are kept as files; made when missing. */
  readonly dir: string;
  readonly log: Pick<Logger, "info" | "error">;
  readonly clock?: Clock;
  /** 3,333 unless given. */
  readonly maxMails?: number;
}

export interface Mailbox {
  readonly port: number;
  /** Takes no more mails, lets clients finish for a second, and returns when the port is closed. */
  close(): Promise<void>;
}

/** Starts an SMTP server on the loopback interface that takes every mail, for anybody. Throws when its port is taken. */
export async function startMailbox(options: MailboxOptions): Promise<Mailbox> {
  const { dir, log, clock = systemClock, maxMails = MAX_MAILS } = options;
  const folder = await openMailFolder({ dir, maxMails, clock });
  const server = new SMTPServer({
    name: "mailbox.localhost",
    size: MAX_MAIL_BYTES,
    maxClients: MAX_CONNECTIONS,
    maxRecipients: MAX_RECIPIENTS,
    socketTimeout: SILENCE_TIMEOUT_MS,
    closeTimeout: CLOSE_MS,
    disabledCommands: ["AUTH", "STARTTLS"],
    disableReverseLookup: true,
    logger: false,
    onData(stream, _session, callback) {
      receive(stream, folder, log).then(
        (refused) => callback(refused),
        (error: unknown) => {
          log.error({ err: error }, "a mail could not be kept");
          callback(answer("The mail could not be kept", 451));
        },
      );
    },
  });
  // Of a connection that broke: whoever sends, sends again.
  server.on("error", (error) => log.error({ reason: codeOf(error) }, "a connection failed"));
  server.listen(options.port, HOST);
  await once(server.server, "listening");
  // A server that listens on TCP has an address of this form.
  const { port } = server.server.address() as AddressInfo;
  return { port, close: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** Keeps a mail before it is answered for; the refusal of one that is too large. */
async function receive(
  stream: SMTPServerDataStream,
  folder: MailFolder,
  log: MailboxOptions["log"],
): Promise<Error | undefined> {
  const chunks: Buffer[] = [];
  // What is too large is read to its end, since the client says it all before it listens, and not kept.
  for await (const chunk of stream) if (!stream.sizeExceeded && Buffer.isBuffer(chunk)) chunks.push(chunk);
  if (stream.sizeExceeded) return answer("The mail is too large", 552);
  const mail = Buffer.concat(chunks);
  // Ids and sizes alone: what people are written is nobody else's business.
  log.info({ messageId: await folder.keep(mail), bytes: mail.length }, "mail kept");
  return undefined;
}

function answer(message: string, responseCode: number): Error {
  return Object.assign(new Error(message), { responseCode });
}

function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}
