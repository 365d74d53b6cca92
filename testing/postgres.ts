import { createHash, randomBytes } from "node:crypto";
import { escapeIdentifier } from "pg";
import { pino } from "pino";
import { inject } from "vitest";
import { type Database, openDatabase, type Session } from "#mesh/postgres/database.ts";
import { migrate } from "#mesh/postgres/migrate.ts";
import { readMigrations } from "#mesh/postgres/migration-files.ts";
import { ownMigrations } from "#mesh/postgres/own-migrations.ts";
import { provisionDatabase } from "../cli/postgres/provision.ts";
import { asAdmin, dropTestDatabase, type TestServer } from "./postgres-server.ts";

export interface TestDatabase {
  readonly db: Database;
  /** For further pools on the same database; close them before this one. The role is its owner, as a service's is. */
  readonly url: string;
  /** Closes `db` and drops the database. */
  close(): Promise<void>;
}

/**
 * A fresh database with the schema that the migrations in `migrations` make, on the server of the test run: a copy of
 * a template that the first caller makes, about a tenth of a second. For one test file, in `beforeAll`, or for one test.
 */
export async function testDatabase(migrations: URL): Promise<TestDatabase> {
  const server = inject("testServer");
  const template = await openTemplate(server, migrations);
  const name = `${template.name}_${randomBytes(4).toString("hex")}`;
  const owner = escapeIdentifier(template.name);
  await asAdmin(server, (session) =>
    session.script(`create database ${escapeIdentifier(name)} template ${owner} owner ${owner}`),
  );
  const url = new URL(template.url);
  url.pathname = `/${name}`;
  const db = openDatabase({ url: url.href, log: pino({ level: "warn" }), applicationName: "test" });
  return {
    db,
    url: url.href,
    close: async () => {
      await db.close();
      await asAdmin(server, (session) => dropTestDatabase(session, name));
    },
  };
}

interface Template {
  readonly name: string;
  /** Its owner's URL. Nobody can connect to it any more, but to its copies. */
  readonly url: string;
}

// Made once in this process, for each set of migrations; the server keeps it for the other processes of the run.
const templates = new Map<string, Promise<Template>>();
const LOCK_SPACE = 0x73686f72;

async function openTemplate(server: TestServer, migrations: URL): Promise<Template> {
  // By content: files that change while tests are watched make another template.
  const files = JSON.stringify([ownMigrations, await readMigrations(migrations)]);
  const digest = createHash("sha256").update(files).digest("hex").slice(0, 10);
  const known = templates.get(digest);
  if (known !== undefined) return known;
  const opening = asAdmin(server, (session) => makeTemplate(session, { server, digest, migrations }));
  templates.set(digest, opening);
  return opening;
}

async function makeTemplate(
  session: Session,
  { server, digest, migrations }: { server: TestServer; digest: string; migrations: URL },
): Promise<Template> {
  const name = `${server.prefix}_${digest}`;
  // The first process makes it, the others wait. The lock goes with the connection.
  await session.query("select pg_advisory_lock($1, hashtext($2))", [LOCK_SPACE, name]);
  const password = createHash("sha256").update(`${server.prefix} ${server.adminUrl}`).digest("hex");
  const url = await provisionDatabase(server.adminUrl, { service: digest, prefix: server.prefix, password });
  const [state] = await session.query<{ whole: boolean }>(
    "select datistemplate as whole from pg_database where datname = $1",
    [name],
  );
  if (state?.whole !== true) {
    await migrate(url, migrations);
    // The mark of one that is whole; and now no connection to it can come in the way of a copy.
    await session.script(`alter database ${escapeIdentifier(name)} with is_template true allow_connections false`);
  }
  return { name, url };
}
