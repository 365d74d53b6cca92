import { escapeIdentifier } from "pg";
import { openSession, type Session } from "#mesh/postgres/database.ts";

/** The PostgreSQL server of one test run, as `testDatabase` needs it. */
export interface TestServer {
  readonly adminUrl: string;
  /** What the names of all databases and roles of this run begin with. */
  readonly prefix: string;
}

declare module "vitest" {
  interface ProvidedContext {
    readonly testServer: TestServer;
  }
}

/** Runs `use` with a connection of the server's superuser. */
export async function asAdmin<T>({ adminUrl }: TestServer, use: (session: Session) => Promise<T>): Promise<T> {
  const session = await openSession(adminUrl, "shopmesh tests");
  try {
    return await use(session);
  } finally {
    await session.close();
  }
}

/** Drops a database of a test, template or not, with the connections that are left to it. */
export async function dropTestDatabase(session: Session, name: string): Promise<void> {
  const database = escapeIdentifier(name);
  await session.script(`alter database ${database} with is_template false`);
  await session.script(`drop database if exists ${database} with (force)`);
}

/** Drops every database and role of a run. */
export async function dropTestDatabases(server: TestServer): Promise<void> {
  await asAdmin(server, async (session) => {
    const databases = await session.query<{ name: string }>(
      "select datname as name from pg_database where starts_with(datname, $1)",
      [server.prefix],
    );
    for (const { name } of databases) await dropTestDatabase(session, name);
    const roles = await session.query<{ name: string }>(
      "select rolname as name from pg_roles where starts_with(rolname, $1)",
      [server.prefix],
    );
    for (const { name } of roles) await session.script(`drop role ${escapeIdentifier(name)}`);
  });
}
