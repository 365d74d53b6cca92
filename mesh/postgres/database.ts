import { Client, type ClientConfig, Pool, type PoolClient } from "pg";
import type { Logger } from "pino";
import { meshFailure } from "#mesh/contract/errors.ts";
import { isConnectionLoss, isStalePlan, isTimeout } from "./errors.ts";
import {
  ANSWER_TIMEOUT_MS,
  CONNECTION_TIMEOUT_MS,
  DEFAULT_MAX_CONNECTIONS,
  IDLE_CONNECTION_MS,
  IDLE_TRANSACTION_TIMEOUT_MS,
  STATEMENT_TIMEOUT_MS,
} from "./limits.ts";
import { columnTypes, type Statement, statementNames } from "./statements.ts";
import { type OwnTransaction, runTransaction, type TransactionOptions } from "./transaction.ts";

/** What runs SQL: a database, or one transaction on it. */
export interface Queryable {
  /**
   * Runs one statement with `$1`-style parameters and returns its rows. The text is prepared under a name and kept, so
   * it must be a constant of the code, and name its columns (`select *` breaks when a migration adds one). `undefined`
   * goes in as NULL, a list as an array (for jsonb, give `JSON.stringify(list)`), and NULL comes out as `null`.
   * `Row` is the caller's word on what the statement returns; nothing checks it. One round trip.
   * Throws the server's error (see errors.ts), or a mesh failure: SERVICE_UNAVAILABLE when the database cannot be
   * reached, OVERLOADED when no connection came free in time, DEADLINE_EXCEEDED when the statement took too long.
   */
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<readonly Row[]>;
}

/** One service's database, behind a pool of connections. */
export interface Database extends Queryable {
  /**
   * Runs `work` in one transaction (READ COMMITTED): committed when it returns, rolled back when it throws. Run again
   * from its start, up to `MAX_RETRIES` times, when it lost against a concurrent one, so whatever `work` does outside
   * `tx` must bear repeating. Two round trips beyond its statements. It must use `tx` alone: a query on the database
   * itself would wait for a second connection while holding the first.
   */
  transaction<T>(work: (tx: OwnTransaction, opened: Opened) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /** One connection of its own, outside the pool and its time limits, for work on the schema. The caller closes it. */
  session(): Promise<Session>;
  /** How long the call that waits longest for a connection of the pool has waited by now, in ms; 0 when none waits. */
  oldestWaitMs(): number;
  /** Closes the connections when the statements that run have ended. May be called more than once. */
  close(): Promise<void>;
}

/** The rows of the statements that were sent along with `begin`, in their order. */
export type Opened = readonly (readonly object[])[];

/** One connection, held by its user. Nothing is prepared on it. */
export interface Session extends Queryable {
  /** Runs a text of any number of statements, without parameters, in one round trip. */
  script(text: string): Promise<void>;
  /** Whether a transaction is open, and still able to commit. */
  inTransaction(): boolean;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  /** postgres://user:password@host:port/database */
  readonly url: string;
  readonly log: Pick<Logger, "warn">;
  /** The most connections at once. Calls beyond it queue for up to `CONNECTION_TIMEOUT_MS`. */
  readonly maxConnections?: number;
  /** The name under which the server lists the connections, such as the service's. */
  readonly applicationName?: string;
}

/** Opens a pool on the database at `url`. Connects on first use: a database that is down fails the first query. */
export function openDatabase(options: DatabaseOptions): Database {
  const { url, log, maxConnections = DEFAULT_MAX_CONNECTIONS, applicationName } = options;
  const pool = new Pool({
    ...clientConfig(url, applicationName),
    max: maxConnections,
    connectionTimeoutMillis: CONNECTION_TIMEOUT_MS,
    idleTimeoutMillis: IDLE_CONNECTION_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: ANSWER_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_TRANSACTION_TIMEOUT_MS,
    // Statements given without waiting in between travel together. Each still fails or passes by itself, as before.
    pipeline: true,
  });
  let closing: Promise<void> | undefined;
  // A connection that breaks emits "error", in the pool's hands or in ours; unheard, it would end the process. At the
  // close it is no news.
  const heard = (error: Error) => {
    if (closing === undefined) log.warn({ reason: error.message }, "database connection lost");
  };
  const connections = new Set<PoolClient>();
  pool.on("connect", (client) => connections.add(client.on("error", heard)));
  pool.on("remove", (client) => connections.delete(client));
  pool.on("error", () => {});
  const { lend, oldestWaitMs } = lender(pool, maxConnections);
  const nameOf = statementNames();
  const run: Run = async (client, { text, values }) => {
    const result = await client.query({ name: nameOf(text), text, values: values === undefined ? [] : [...values] });
    return result.rows;
  };
  return {
    query: (text, values) => withClient(lend, (client) => run(client, { text, values })),
    transaction: (work, transactionOptions) =>
      runTransaction((attempt) => withClient(lend, attempt), run, work, transactionOptions),
    session: () => openSession(url, applicationName),
    oldestWaitMs,
    close: () => {
      closing ??= endPool(pool, connections);
      return closing;
    },
  };
}

interface Lender {
  readonly lend: () => Promise<PoolClient>;
  readonly oldestWaitMs: () => number;
}

/** Lends the connections of a pool, and knows who waits for one. */
function lender(pool: Pool, maxConnections: number): Lender {
  // In the order they came, in which they are served, too.
  const waits = new Set<{ readonly sinceMs: number }>();
  return {
    lend() {
      if (pool.idleCount > 0 || pool.totalCount < maxConnections) return pool.connect();
      const wait = { sinceMs: performance.now() };
      waits.add(wait);
      return pool.connect().finally(() => waits.delete(wait));
    },
    oldestWaitMs() {
      const [oldest] = waits;
      return oldest === undefined ? 0 : performance.now() - oldest.sinceMs;
    },
  };
}

/** Runs one prepared statement on a connection and returns its rows. */
export type Run = <Row extends object>(client: PoolClient, statement: Statement) => Promise<readonly Row[]>;

/** Lends a connection of the pool to `use`; a broken one is not taken back. */
async function withClient<T>(lend: () => Promise<PoolClient>, use: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await lend().catch((error: unknown) => {
    throw connectFailure(error);
  });
  let broken = false;
  try {
    return await use(client);
  } catch (error) {
    broken = isConnectionLoss(error) || isStalePlan(error) || client.getTransactionStatus() !== "I";
    throw asMeshFailure(error);
  } finally {
    client.release(broken);
  }
}

/** Ends a pool, and waits until its connections are gone; by itself it only waits until they have been told to go. */
async function endPool(pool: Pool, connections: ReadonlySet<PoolClient>): Promise<void> {
  await pool.end();
  while (connections.size > 0) await new Promise((resolve) => pool.once("remove", resolve));
}

function connectFailure(error: unknown): unknown {
  // The driver's words for a pool whose connections were all taken for the whole wait.
  const exhausted = error instanceof Error && error.message === "timeout exceeded when trying to connect";
  if (exhausted) return meshFailure("OVERLOADED", "No database connection came free in time.", { cause: error });
  return unreachable("The database cannot be reached.", error);
}

function asMeshFailure(error: unknown): unknown {
  if (isConnectionLoss(error)) return unreachable("The connection to the database was lost.", error);
  if (isTimeout(error)) {
    return meshFailure("DEADLINE_EXCEEDED", "The database did not finish in time; nothing was done.", { cause: error });
  }
  return error;
}

function unreachable(message: string, cause: unknown): Error {
  return meshFailure("SERVICE_UNAVAILABLE", message, { metadata: { service: "postgresql" }, cause });
}

/** Opens one connection outside any pool, with no limit on how long a statement runs. See `Database.session`. */
export async function openSession(url: string, applicationName?: string): Promise<Session> {
  const client = new Client({
    ...clientConfig(url, applicationName),
    connectionTimeoutMillis: CONNECTION_TIMEOUT_MS,
  });
  // A loss shows in the statement that runs, or in the next one.
  client.on("error", () => {});
  await client.connect();
  return {
    query: async (text, values) => (await client.query({ text, values: values === undefined ? [] : [...values] })).rows,
    script: async (text) => {
      await client.query(text);
    },
    inTransaction: () => client.getTransactionStatus() === "T",
    close: () => client.end(),
  };
}

function clientConfig(url: string, applicationName: string | undefined): ClientConfig {
  return {
    connectionString: url,
    application_name: applicationName ?? "shopmesh",
    types: columnTypes,
    keepAlive: true,
  };
}
