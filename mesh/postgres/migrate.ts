import { type Database, openSession, type Session } from "./database.ts";
import { isTimeout } from "./errors.ts";
import { MIGRATION_WAIT_MS } from "./limits.ts";
import { checksum, type MigrationFile, readMigrations } from "./migration-files.ts";
import { ownMigrations } from "./own-migrations.ts";

/**
 * Brings a database to the schema that the SQL files in `directory` describe: the mesh's own tables first, then the
 * files `0001_name.sql`, `0002_…` that were not applied before, each in a transaction of its own with the note that it
 * was. Forward only. Safe to run from any number of instances at once: one works, the others wait and find it done.
 *
 * Returns the names of the files that were applied now. Throws a plain error that names the file when one that was
 * applied has been changed or is missing, or when one fails; the files before it stay applied.
 */
export async function migrate(target: Database | string, directory: URL): Promise<readonly string[]> {
  const files = await readMigrations(directory);
  const session = await (typeof target === "string" ? openSession(target) : target.session()).catch(
    (error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`Cannot reach the database to migrate it: ${reason}`, { cause: error });
    },
  );
  try {
    await lock(session);
    await session.script(createHistory);
    const own = await apply(session, "mesh", ownMigrations);
    const theirs = await apply(session, "service", files);
    return [...own, ...theirs];
  } finally {
    // The lock goes with the connection.
    await session.close();
  }
}

// The two-number space of advisory locks is apart from the one-number space that once() uses. The numbers are ours.
const LOCK_SPACE = 0x73686f70;
const LOCK_MIGRATE = 1;

/** Waits for the turn to migrate. The lock is held by the connection, across the transactions of the files. */
async function lock(session: Session): Promise<void> {
  try {
    await session.script(
      `set lock_timeout = ${MIGRATION_WAIT_MS}; select pg_advisory_lock(${LOCK_SPACE}, ${LOCK_MIGRATE}); ` +
        "reset lock_timeout",
    );
  } catch (error) {
    if (!isTimeout(error)) throw error;
    const waited = MIGRATION_WAIT_MS / 1_000;
    throw new Error(`Another instance has been migrating this database for ${waited} s`, { cause: error });
  }
}

async function apply(session: Session, scope: string, files: readonly MigrationFile[]): Promise<readonly string[]> {
  const applied = await session.query<{ name: string; checksum: string }>(selectHistory, [scope]);
  const byName = new Map(files.map((file) => [file.name, file]));
  for (const { name, checksum: before } of applied) {
    const file = byName.get(name);
    if (file === undefined) {
      throw new Error(`Migration ${name} was applied to this database, and is missing: is this an older version?`);
    }
    if (checksum(file) !== before) {
      throw new Error(`Migration ${name} was changed after it was applied: restore it, and add a new file instead`);
    }
  }
  // Numbers have no gaps, so what is not applied comes after all that is.
  const pending = files.slice(applied.length);
  for (const file of pending) await applyFile(session, scope, file);
  return pending.map((file) => file.name);
}

async function applyFile(session: Session, scope: string, file: MigrationFile): Promise<void> {
  try {
    await session.script("begin");
    await session.script(file.text);
    if (!session.inTransaction()) throw new Error("it ends the transaction that it runs in");
    await session.query(insertHistory, [scope, file.name, checksum(file)]);
    await session.script("commit");
  } catch (error) {
    await session.script("rollback").catch(() => {});
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`Migration ${file.name} failed: ${reason}`, { cause: error });
  }
}

const createHistory = `
  set client_min_messages = warning;
  create table if not exists schema_migrations (
    scope text not null,
    name text not null,
    checksum text not null,
    apply_time timestamptz not null default now(),
    primary key (scope, name)
  );
  reset client_min_messages`;

const selectHistory = "select name, checksum from schema_migrations where scope = $1 order by name";

const insertHistory = "insert into schema_migrations (scope, name, checksum) values ($1, $2, $3)";
