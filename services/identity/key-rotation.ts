import type { Logger } from "pino";
import { type Background, repeat } from "#mesh/repeat.ts";
import type { Deps } from "./deps.ts";
import { recordEvent } from "./events.ts";
import { deleteRetiredKeys } from "./key-store.ts";
import { KEY_LIFE_MS, lastTokenTime, nextKey, publishNextKey } from "./signing-keys.ts";

const INTERVAL_MS = 60 * 60 * 1_000;

type Rotating = Pick<Deps, "db" | "clock" | "newId"> & { readonly log: Pick<Logger, "warn" | "info"> };

/** Publishes another signing key when the last one has signed for long enough, and forgets those that are over. */
export function startKeyRotation(deps: Rotating): Background {
  return repeat({ name: "rotating the signing key", everyMs: INTERVAL_MS, log: deps.log }, () => rotateByAge(deps));
}

/** One round of it. Of several processes at once one publishes a key. */
export async function rotateByAge(deps: Rotating): Promise<void> {
  const { db, clock, newId, log } = deps;
  const key = await nextKey(clock, newId);
  const published = await db.transaction(async (tx) => {
    if (!(await publishNextKey(tx, key, KEY_LIFE_MS))) return false;
    await recordEvent(deps, tx, undefined, { kind: "signing_key_rotated", userId: undefined, actor: "identity" });
    return true;
  });
  if (published) log.info({ keyId: key.id, signTime: key.signTime }, "another signing key was published");
  await deleteRetiredKeys(db, lastTokenTime(clock.now()));
}
