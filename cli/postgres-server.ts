import { openSession, type Session } from "#mesh/postgres/database.ts";
import { DEFAULT_MAX_CONNECTIONS } from "#mesh/postgres/limits.ts";
import { openLogFile } from "./logs/log-file.ts";
import type { Terminal } from "./logs/terminal.ts";
import { codeOf, messageOf, OperatorError } from "./operator-error.ts";
import { MAX_PROGRAMS, startEmbeddedPostgres } from "./postgres/embedded.ts";
import { provisionDatabase } from "./postgres/provision.ts";

/** The PostgreSQL of a run. */
export interface PostgresServer {
  /** Opens it as administrator; holds a password. */
  readonly adminUrl: string;
  /** Settles when it ended though nobody asked; never, for one that is not ours. */
  readonly failed: Promise<void>;
  /** The port of ours; undefined for one that is not. */
  readonly port: number | undefined;
  /** How many processes of ten connections each it has room for. */
  readonly maxPrograms: number;
  /** Stops ours; lets go of the operator's. */
  stop(): Promise<void>;
}

/** Starts PostgreSQL in a folder of its own. Throws OperatorError with one line. */
export async function startOwnPostgres(options: {
  readonly dataDir: string;
  readonly logFile: string;
  readonly verbose: boolean;
  readonly terminal: Terminal;
}): Promise<PostgresServer> {
  const { terminal, verbose } = options;
  const onError = (error: unknown): void => terminal.warn(`${options.logFile} can't be written: ${messageOf(error)}`);
  const file = openLogFile(options.logFile, { onError });
  const log = (line: string): void => {
    file.append(`${line}\n`);
    if (verbose || /\b(WARNING|ERROR|FATAL|PANIC):/.test(line)) terminal.processLine("postgres", line);
  };
  const server = await startEmbeddedPostgres({ dataDir: options.dataDir, log }).catch((error: unknown) => {
    file.close();
    throw new OperatorError(messageOf(error), { cause: error });
  });
  let stopping = false;
  return {
    adminUrl: server.adminUrl,
    port: server.port,
    maxPrograms: MAX_PROGRAMS,
    failed: new Promise((resolve) => {
      void server.exited.then(() => {
        if (!stopping) resolve();
      });
    }),
    async stop() {
      stopping = true;
      await server.stop();
      file.close();
    },
  };
}

/**
 * Uses the operator's PostgreSQL. Throws OperatorError with one line, which names the host and never the password, when
 * it cannot be reached or another shop uses the same databases there.
 */
export async function useGivenPostgres(adminUrl: string, prefix: string): Promise<PostgresServer> {
  const { host } = new URL(adminUrl);
  const session = await openSession(adminUrl, "shopmesh").catch((error: unknown) => {
    throw new OperatorError(`PostgreSQL at ${host} can't be reached: ${connectFailure(error)}`, { cause: error });
  });
  let maxPrograms: number;
  try {
    // Two shops on the same databases would change each other's passwords. The lock goes with the connection.
    if (!(await tryLock(session, prefix))) {
      const advice = "stop it first, or set SHOPMESH_POSTGRES_PREFIX to another name";
      throw new OperatorError(`another shop uses the databases ${prefix}_… at PostgreSQL ${host}; ${advice}`);
    }
    maxPrograms = await readRoom(session);
  } catch (error) {
    await session.close();
    throw error;
  }
  const failed = new Promise<never>(() => undefined);
  return { adminUrl, port: undefined, maxPrograms, failed, stop: () => session.close() };
}

/** Gives each service its database, and returns the address of each by service. Throws OperatorError. */
export async function provisionDatabases(
  adminUrl: string,
  options: { readonly passwords: Readonly<Record<string, string>>; readonly prefix: string },
): Promise<ReadonlyMap<string, string>> {
  const { prefix, passwords } = options;
  const provision = async ([service, password]: readonly [string, string]): Promise<readonly [string, string]> => [
    service,
    await provisionDatabase(adminUrl, { service, password, prefix }),
  ];
  try {
    return new Map(await Promise.all(Object.entries(passwords).map(provision)));
  } catch (error) {
    const { host } = new URL(adminUrl);
    throw new OperatorError(`databases can't be made at PostgreSQL ${host}: ${messageOf(error)}`, { cause: error });
  }
}

// Others may use it too, so this is the most there can be, and not what is sure to be there.
async function readRoom(session: Session): Promise<number> {
  const [row] = await session.query<{ free: number }>(
    `select sum(case name when 'max_connections' then setting::int else -setting::int end)::int as free
       from pg_settings where name in ('max_connections', 'superuser_reserved_connections', 'reserved_connections')`,
    [],
  );
  return Math.floor((row?.free ?? 0) / DEFAULT_MAX_CONNECTIONS);
}

const lockSpace = 0x73686f72;

async function tryLock(session: Session, prefix: string): Promise<boolean> {
  const [row] = await session.query<{ locked: boolean }>("select pg_try_advisory_lock($1, hashtext($2)) as locked", [
    lockSpace,
    prefix,
  ]);
  return row?.locked === true;
}

// A name with several addresses fails with one error for each, and no message of its own.
function connectFailure(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return connectFailure(error.errors[0]);
  const known: Readonly<Record<string, string>> = {
    ECONNREFUSED: "connection refused",
    ENOTFOUND: "no such host",
    EAI_AGAIN: "no such host",
    ETIMEDOUT: "no answer in time",
    EHOSTUNREACH: "no way to that host",
    ENETUNREACH: "no way to that network",
  };
  return known[codeOf(error) ?? ""] ?? messageOf(error);
}
