import type { Logger } from "pino";

/** How many are worked on at once. */
const CONCURRENCY = 4;

/** Works on some items at a time. One that fails is logged, and keeps the others from nothing. */
export async function each<Item extends { readonly id: string }>(
  log: Logger,
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  const worker = async (): Promise<void> => {
    for (const item of rest) {
      try {
        await work(item);
      } catch (error) {
        log.error({ err: error, id: item.id }, "work on a payment or an authorization failed; trying again later");
      }
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
}
