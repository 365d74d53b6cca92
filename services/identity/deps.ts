import type { Clock } from "#mesh/clock.ts";
import type { Database } from "#mesh/postgres/index.ts";
import type { Call, User } from "#mesh/rpc/call.ts";
import type { Passwords } from "./passwords.ts";
import type { Secrets } from "./secrets.ts";
import type { Signer } from "./signing-keys.ts";

/** What the handlers work with. */
export interface Deps {
  readonly db: Database;
  readonly clock: Clock;
  readonly newId: (prefix: string) => string;
  readonly passwords: Passwords;
  readonly secrets: Secrets;
  readonly signer: Signer;
}

/** The end user of a call whose policy admits nobody without one. */
export function userOf(call: Call): User {
  if (call.user === undefined) throw new TypeError(`${call.method.path} was admitted without an end user`);
  return call.user;
}
