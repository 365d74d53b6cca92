import { systemClock } from "#mesh/clock.ts";
import { fakeClock } from "#testing/clock.ts";
import type { Database } from "./database.ts";
import { type OnceCall, once } from "./once.ts";
import type { Transaction } from "./transaction.ts";

// A method that opens an account: what the tests of `once` run.

export interface Open {
  readonly requestId: string;
  readonly amount: number;
}

interface Opened {
  readonly balance: string;
}

export const clock = fakeClock();
const encode = (message: unknown) => new TextEncoder().encode(JSON.stringify(message));
export const method = {
  path: "/shop.test.v1.AccountService/Open",
  encodeRequest: encode,
  encodeResponse: encode,
  decodeResponse: (bytes: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(bytes)),
};

export function callOf(over: Partial<OnceCall> = {}): OnceCall {
  const signal = new AbortController().signal;
  return { method, caller: "orders", user: undefined, deadline: systemClock.now().getTime() + 20_000, signal, ...over };
}

/** Adds to the one account, so that the balance shows how many effects there were. */
export const open = (on: Database, call: OnceCall, request: Open, before?: (tx: Transaction) => Promise<unknown>) =>
  once(on, call, request, clock, async (tx): Promise<Opened> => {
    await before?.(tx);
    const [row] = await tx.query<{ balance: bigint }>(
      `insert into accounts as old (id, balance) values ('a', $1)
      on conflict (id) do update set balance = old.balance + excluded.balance returning balance`,
      [request.amount],
    );
    return { balance: String(row?.balance) };
  });

/** What is in the account; undefined when it was never opened. */
export async function balanceIn(db: Database): Promise<bigint | undefined> {
  return (await db.query<{ balance: bigint }>("select balance from accounts"))[0]?.balance;
}
