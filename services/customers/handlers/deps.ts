import type { Clock } from "#mesh/clock.ts";
import type { Database } from "#mesh/postgres/index.ts";

/** What the handlers work with. */
export interface Deps {
  readonly db: Database;
  readonly clock: Clock;
  readonly newId: (prefix: string) => string;
}
