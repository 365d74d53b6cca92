import { ConfigError, type Environment, readSetting } from "#mesh/config.ts";
import { oneLine } from "./domain-words.ts";

/** Where mails are handed in. */
export interface SmtpSettings {
  readonly host: string;
  readonly port: number;
  /** `always`: TLS from the first byte. `upgrade`: STARTTLS, and no mail without. `none`: in the clear. */
  readonly tls: "always" | "upgrade" | "none";
  readonly credentials: { readonly user: string; readonly password: string } | undefined;
}

/** Who writes: `Shopmesh <orders@shop.example>`. */
export interface Sender {
  /** The shop's name, as its mails give it. */
  readonly name: string;
  readonly email: string;
  /** What stands behind the @, in Message-IDs too. */
  readonly domain: string;
}

export interface MailSettings {
  readonly smtp: SmtpSettings;
  readonly from: Sender;
  /** The mailbox of a shop on one machine, as a folder of files; undefined where mails go to a server of its own. */
  readonly mailDir: string | undefined;
}

const SUBMISSION_PORT = 587;
const SUBMISSIONS_PORT = 465;

/** Reads the settings of mail. Throws a `ConfigError`, in which no password is repeated. */
export function readMailSettings(environment?: Environment): MailSettings {
  const mailDir = readSetting("SHOPMESH_MAIL_DIR", { default: "", environment });
  return {
    smtp: parseSmtpUrl(readSetting("SHOPMESH_SMTP_URL", { environment })),
    from: parseSender(readSetting("SHOPMESH_MAIL_FROM", { environment })),
    mailDir: mailDir === "" ? undefined : mailDir,
  };
}

/** `smtp://user:password@host:587`, `smtps://…:465`; `smtp://host:25?tls=off` for a server in a network one trusts. */
function parseSmtpUrl(text: string): SmtpSettings {
  const wrong = new ConfigError(
    "SHOPMESH_SMTP_URL must look like smtp://user:password@host:587, smtps://user:password@host:465 or smtp://host:25?tls=off",
  );
  if (!URL.canParse(text)) throw wrong;
  const url = new URL(text);
  const isSecure = url.protocol === "smtps:";
  const query = url.searchParams.toString();
  const isPlain = query === "tls=off";
  const isKnown = (isSecure && query === "") || (url.protocol === "smtp:" && (query === "" || isPlain));
  if (!isKnown || url.hostname === "" || !["", "/"].includes(url.pathname) || url.hash !== "") throw wrong;
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const usual = isSecure ? SUBMISSIONS_PORT : SUBMISSION_PORT;
  return {
    host,
    port: url.port === "" ? usual : Number(url.port),
    tls: isSecure ? "always" : isPlain || isOwnMachine(host) ? "none" : "upgrade",
    credentials: url.username === "" ? undefined : { user: decoded(url.username), password: decoded(url.password) },
  };

  function decoded(part: string): string {
    try {
      return decodeURIComponent(part);
    } catch {
      throw wrong;
    }
  }
}

/** Nobody listens in on the way to a program of the same machine. */
function isOwnMachine(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

function parseSender(text: string): Sender {
  const form = /^(?:(?<name>[^<>"@]{1,60}?)\s*<(?<inner>[^<>\s]+)>|(?<bare>[^<>\s]+))$/.exec(text.trim())?.groups;
  const email = form?.inner ?? form?.bare ?? "";
  // As the contract checks addresses of people: no comments, no quotes, no letters beyond ASCII.
  const domain = /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)$/.exec(
    email,
  )?.[1];
  if (domain === undefined) {
    throw new ConfigError(
      `SHOPMESH_MAIL_FROM must look like Shopmesh <orders@shop.example>, not ${JSON.stringify(text)}`,
    );
  }
  return { name: oneLine(form?.name ?? domain), email, domain };
}
