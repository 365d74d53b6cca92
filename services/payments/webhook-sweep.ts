import { type Background, repeat } from "#mesh/repeat.ts";
import type { Deps } from "./deps.ts";
import { deleteWebhookEvents } from "./webhook-store.ts";

/** How long an event is remembered: far longer than a sender tries again. What came later would only be a hint again. */
export const WEBHOOK_RETENTION_MS = 30 * 24 * 60 * 60 * 1_000;
const SWEEP_INTERVAL_MS = 15 * 60 * 1_000;
/** How many events one statement forgets, and how many such statements a sweep runs at most. */
const BATCH = 1_000;
const MAX_BATCHES = 100;

/** Forgets old events, again and again, until it is closed. Several processes at a time do no harm. */
export function startWebhookSweep(deps: Deps): Background {
  const options = { name: "forgetting old webhook events", everyMs: SWEEP_INTERVAL_MS, log: deps.log };
  return repeat(options, () => forgetWebhookEvents(deps));
}

/** Forgets the events whose time is over. */
export async function forgetWebhookEvents({ db, clock }: Pick<Deps, "db" | "clock">): Promise<void> {
  const before = new Date(clock.now().getTime() - WEBHOOK_RETENTION_MS);
  for (let batch = 0; batch < MAX_BATCHES; batch += 1) {
    if ((await deleteWebhookEvents(db, before, BATCH)) < BATCH) return;
  }
}
