import type { Logger } from "pino";
import type { Database } from "#mesh/postgres/index.ts";
import { type Background, repeat } from "#mesh/repeat.ts";
import * as store from "./store-reindex.ts";

/** How many search entries one transaction writes: about a tenth of a second. */
const BATCH_SIZE = 500;
/** How often to look for what an import that ended early has left undone. */
const INTERVAL_MS = 30_000;

/**
 * Brings the search entries of products up to categories that were renamed or moved. A category may have any number of
 * products, so this is not part of the change itself: it goes on in small transactions after it, and what is left
 * undone by one that ends early is marked, and done by the next. Says how many entries it looked at.
 */
export async function reindexCategories(db: Database, signal: AbortSignal): Promise<number> {
  let entries = 0;
  for (;;) {
    signal.throwIfAborted();
    const category = await store.nextToIndex(db);
    if (category === undefined) return entries;
    let afterId = "";
    for (let whole = false; !whole; ) {
      signal.throwIfAborted();
      const ids = await db.transaction((tx) =>
        store.indexEntries(tx, { slug: category.slug, afterId, limit: BATCH_SIZE }),
      );
      entries += ids.length;
      afterId = ids.at(-1) ?? afterId;
      whole = ids.length < BATCH_SIZE;
    }
    await store.markIndexed(db, category);
  }
}

/** Does the same in the background until it is closed. */
export function startReindex({ db, log }: { readonly db: Database; readonly log: Logger }): Background {
  return repeat({ name: "indexing changed categories", everyMs: INTERVAL_MS, log }, async (signal) => {
    await reindexCategories(db, signal);
  });
}
