import { randomBytes, type ScryptOptions, scrypt } from "node:crypto";
import { promisify } from "node:util";
import { escapeIdentifier, escapeLiteral } from "pg";
import { openSession, type Session } from "#mesh/postgres/database.ts";
import { scramVerifier } from "./scram.ts";

export interface ProvisionOptions {
  /** The service's name: the database and the role are both `<prefix>_<service>`. */
  readonly service: string;
  /**
   * The role's password, printable ASCII. By default derived from the password in `adminUrl`, and so the same on each
   * run; random, and other on each run, where that holds none.
   */
  readonly password?: string;
  /** What sets several shops on one server apart; `shopmesh` by default. */
  readonly prefix?: string;
}

const DEFAULT_PREFIX = "shopmesh";
const MIN_SERVER_VERSION = 150_000;
/** From here on the server brings a locale of its own, the same on every machine. */
const BUILTIN_LOCALE_VERSION = 170_000;

/**
 * Gives a service its own database and a role that owns it, and returns the URL to open it with. What is there already
 * stays as it is, but for the password, which is set anew. The role can enter no other provisioned database: connecting
 * to each of them is taken from everybody but its owner. (Databases that we did not make are left alone.)
 *
 * `adminUrl` is that of a superuser, or of a role that may create roles and databases.
 */
export async function provisionDatabase(adminUrl: string, options: ProvisionOptions): Promise<string> {
  const name = databaseName(options);
  const password = options.password ?? (await derivedPassword(adminUrl, name));
  const session = await openSession(adminUrl, "shopmesh provision").catch((error: unknown) => {
    throw unreachable(adminUrl, error);
  });
  try {
    const version = await serverVersion(session);
    // One at a time for each name: `create` has no "if not exists" here. The lock goes with the connection.
    await session.query("select pg_advisory_lock($1, hashtext($2))", [LOCK_SPACE, name]);
    await provisionRole(session, name, await scramVerifier(password));
    await provisionOwnDatabase(session, name, version);
  } finally {
    await session.close();
  }
  const url = new URL(adminUrl);
  url.username = name;
  // The setter leaves a % as it is, and a % begins an escape.
  url.password = encodeURIComponent(password);
  url.pathname = `/${name}`;
  return url.href;
}

const LOCK_SPACE = 0x73686f71;
const MAX_NAME_BYTES = 63;

function databaseName({ service, prefix = DEFAULT_PREFIX }: ProvisionOptions): string {
  const name = `${prefix}_${service}`;
  if (!/^[a-z][a-z0-9_-]*$/.test(name) || name.length > MAX_NAME_BYTES) {
    throw new Error(`"${name}" cannot name a database: lower-case letters, digits, - and _, at most ${MAX_NAME_BYTES}`);
  }
  return name;
}

/** About 10 ms: a start derives one password for each service. */
const SCRYPT_COST = 4_096;

/** Slow on purpose: a service's password must not be a way to guess the superuser's, which a person may have chosen. */
async function derivedPassword(adminUrl: string, name: string): Promise<string> {
  const secret = decodeURIComponent(new URL(adminUrl).password);
  if (secret === "") return randomBytes(24).toString("base64url");
  const derive = promisify<string, string, number, ScryptOptions, Buffer>(scrypt);
  return (await derive(secret, `shopmesh role ${name}`, 24, { cost: SCRYPT_COST })).toString("base64url");
}

async function serverVersion(session: Session): Promise<number> {
  const [row] = await session.query<{ version: number }>(
    "select current_setting('server_version_num')::int as version",
  );
  const version = row?.version ?? 0;
  if (version < MIN_SERVER_VERSION) {
    throw new Error(`PostgreSQL ${Math.floor(version / 10_000)} is too old: 15 is the least`);
  }
  return version;
}

async function provisionRole(session: Session, name: string, verifier: string): Promise<void> {
  const role = escapeIdentifier(name);
  const existing = await session.query("select 1 as found from pg_roles where rolname = $1", [name]);
  const verb = existing.length === 0 ? "create" : "alter";
  await session.script(`${verb} role ${role} login password ${escapeLiteral(verifier)}`);
  // Only a member of a role may make it the owner of something; a superuser counts as one of every role.
  const [admin] = await session.query<{ rolsuper: boolean }>(
    "select rolsuper from pg_roles where rolname = current_user",
  );
  if (admin?.rolsuper !== true) await session.script(`grant ${role} to current_user`);
}

async function provisionOwnDatabase(session: Session, name: string, version: number): Promise<void> {
  const database = escapeIdentifier(name);
  const existing = await session.query("select 1 as found from pg_database where datname = $1", [name]);
  if (existing.length === 0) {
    // Order by code point and letters by Unicode on each server that can, rather than as its system happens to have it.
    const locale =
      version >= BUILTIN_LOCALE_VERSION ? "locale 'C' locale_provider builtin builtin_locale 'C.UTF-8'" : "";
    await session.script(
      `create database ${database} owner ${escapeIdentifier(name)} template template0 encoding 'UTF8' ${locale}`,
    );
  }
  // The owner's own rights do not come by way of the public.
  await session.script(`revoke all on database ${database} from public`);
}

function unreachable(adminUrl: string, error: unknown): Error {
  const { host } = new URL(adminUrl);
  const reason = error instanceof Error ? error.message : String(error);
  return new Error(`Cannot reach PostgreSQL at ${host}: ${reason}`, { cause: error });
}
