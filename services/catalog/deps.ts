import type { Clock } from "#mesh/clock.ts";
import type { Violation } from "#mesh/contract/errors.ts";
import type { Database } from "#mesh/postgres/index.ts";

/** What the handlers work with. */
export interface Deps {
  readonly db: Database;
  readonly clock: Clock;
  /** A new id of the form `prefix_…`. */
  readonly newId: (prefix: string) => string;
  /** ISO 4217; the one currency that the shop sells in. */
  readonly currencyCode: string;
  /** The rules that a serialized message of a type breaks, by its full name in the contract. */
  readonly validate: (typeName: string, bytes: Uint8Array) => readonly Violation[];
}
