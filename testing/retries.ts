import type { Database } from "#mesh/postgres/database.ts";

/** A database that counts how often a transaction had to be run again, because it and another stood in each other's way. */
export function countRetries(db: Database): { readonly db: Database; retries(): number } {
  let retries = 0;
  const counted: Database = {
    ...db,
    transaction: (work, options) => {
      let attempts = 0;
      return db.transaction((tx, opened) => {
        if (attempts > 0) retries += 1;
        attempts += 1;
        return work(tx, opened);
      }, options);
    },
  };
  return { db: counted, retries: () => retries };
}
