// Every bound that mesh/postgres puts on itself.

/** The most connections of one process, unless it says otherwise. */
export const DEFAULT_MAX_CONNECTIONS = 10;
/** How long a call waits for a connection, be it a free one of the pool or a new one. */
export const CONNECTION_TIMEOUT_MS = 5_000;
/** How long one statement may run; the server ends it. Longer than the deadline of any method that uses a database. */
export const STATEMENT_TIMEOUT_MS = 15_000;
/** How long we wait for an answer before we take the connection for dead: past the server's own limit. */
export const ANSWER_TIMEOUT_MS = STATEMENT_TIMEOUT_MS + 5_000;
/** How long a transaction may sit between statements before the server ends it, so that no lock outlives a bug. */
export const IDLE_TRANSACTION_TIMEOUT_MS = 30_000;
/** How long a connection is kept that nobody uses. */
export const IDLE_CONNECTION_MS = 30_000;

/** How often a transaction that lost against a concurrent one is run again. */
export const MAX_RETRIES = 3;
/** The least wait before the first of these runs; up to twice as much by chance, and twice as much for each further. */
export const RETRY_DELAY_MS = 10;

/**
 * How many different SQL texts one database may see. Each is kept prepared on every connection, so a text that is put
 * together from values would fill the server's memory; running into this limit says so instead.
 */
export const MAX_STATEMENTS = 500;

/** How long an instance waits while another one migrates the same database. */
export const MIGRATION_WAIT_MS = 60_000;

/** How long answers of `once` are kept: within this time the same request_id gets the same answer. */
export const ONCE_RETENTION_MS = 7 * 24 * 60 * 60 * 1_000;
/** How many answers one statement of a sweep removes, and how many such statements a sweep runs at most. */
export const SWEEP_BATCH_SIZE = 1_000;
export const SWEEP_MAX_BATCHES = 1_000;
/** How long it is from one sweep to the next. */
export const ONCE_SWEEP_INTERVAL_MS = 15 * 60 * 1_000;

/** How many records of a person one transaction of an erasure changes. */
export const ERASURE_BATCH_SIZE = 200;
