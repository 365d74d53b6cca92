import { setTimeout } from "node:timers/promises";
import type { PoolClient } from "pg";
import type { Opened, Queryable, Run } from "./database.ts";
import { isSerializationFailure } from "./errors.ts";
import { MAX_RETRIES, RETRY_DELAY_MS, STATEMENT_TIMEOUT_MS } from "./limits.ts";
import type { Statement } from "./statements.ts";

/** An open transaction. What it runs takes effect together, or not at all. */
export interface Transaction extends Queryable {
  /** Sets it apart from a database, for which each statement is a transaction of its own. */
  readonly isTransaction: true;
}

/** A transaction in the hands of whoever opened it. */
export interface OwnTransaction extends Transaction {
  /**
   * Sets the statement that is sent together with `commit`, and so costs no round trip. When it fails, the transaction
   * is rolled back and throws its error. At most one; its rows are not to be had.
   */
  last(text: string, values?: readonly unknown[]): void;
}

export interface TransactionOptions {
  /**
   * How long each statement may run, its wait for locks included, in milliseconds; at least 1, and at most
   * `STATEMENT_TIMEOUT_MS`, which is the default.
   */
  readonly statementTimeoutMs?: number;
  /**
   * Statements to send in the same round trip as `begin`; `work` gets their rows. Reads and locks only: should `begin`
   * fail where the connection lives on, each would run by itself, outside any transaction.
   */
  readonly opening?: readonly Statement[];
}

type Attempt = <T>(use: (client: PoolClient) => Promise<T>) => Promise<T>;

/** Runs `work` in a transaction on a connection from `attempt`, again if it lost a race. See `Database.transaction`. */
export async function runTransaction<T>(
  attempt: Attempt,
  run: Run,
  work: (tx: OwnTransaction, opened: Opened) => Promise<T>,
  options: TransactionOptions = {},
): Promise<T> {
  for (let retries = 0; ; retries += 1) {
    try {
      // Each run takes a connection anew: between them somebody else may use it.
      return await attempt((client) => runOnce(client, run, work, options));
    } catch (error) {
      if (retries >= MAX_RETRIES || !isSerializationFailure(error)) throw error;
      // The winner goes first: at once, this one could take the same locks again before the winner has woken up.
      await setTimeout((1 + Math.random()) * RETRY_DELAY_MS * 2 ** retries);
    }
  }
}

async function runOnce<T>(
  client: PoolClient,
  run: Run,
  work: (tx: OwnTransaction, opened: Opened) => Promise<T>,
  { statementTimeoutMs, opening = [] }: TransactionOptions,
): Promise<T> {
  let last: Statement | undefined;
  let open = true;
  const tx: OwnTransaction = {
    isTransaction: true,
    query: async (text, values) => {
      if (!open) throw new Error("The transaction is over; a query came after its work had returned.");
      return run(client, { text, values });
    },
    last: (text, values) => {
      if (last !== undefined) throw new Error("The transaction's last statement is set already.");
      last = { text, values };
    },
  };
  try {
    // One round trip: a text of several statements counts as one, and `opening` follows without waiting.
    const [, ...opened] = await inOneWrite(client, () =>
      Promise.all([
        client.query(beginText(statementTimeoutMs)),
        ...opening.map((statement) => run<object>(client, statement)),
      ]),
    );
    const value = await work(tx, opened);
    open = false;
    await commit(client, run, last);
    return value;
  } catch (error) {
    open = false;
    await rollback(client);
    throw error;
  }
}

function beginText(statementTimeoutMs: number | undefined): string {
  if (statementTimeoutMs === undefined) return "begin";
  // Zero would mean no limit at all.
  const ms = Math.min(Math.max(1, Math.ceil(statementTimeoutMs)), STATEMENT_TIMEOUT_MS);
  return `begin; set local statement_timeout = ${ms}`;
}

/** One round trip, with the last statement if there is one: should that fail, `commit` finds nothing to commit. */
async function commit(client: PoolClient, run: Run, last: Statement | undefined): Promise<void> {
  const [, committed] = await inOneWrite(client, () =>
    Promise.all([last === undefined ? undefined : run<object>(client, last), client.query("commit")]),
  );
  // The server answers ROLLBACK, and no error, when a statement had failed before and `work` swallowed that.
  if (committed.command !== "COMMIT")
    throw new Error("The transaction could not commit: a statement in it had failed.");
}

async function rollback(client: PoolClient): Promise<void> {
  // On a dead connection this fails too; the first error is the one that matters, and the connection is not kept.
  await client.query("rollback").catch(() => {});
}

/** Hands all that `send` sends to the system at once: a write of its own for each statement costs more than its text. */
function inOneWrite<T>({ connection }: PoolClient, send: () => T): T {
  connection.stream.cork();
  try {
    return send();
  } finally {
    connection.stream.uncork();
  }
}
