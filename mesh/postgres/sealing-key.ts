import { randomBytes } from "node:crypto";
import { SEALING_KEY_BYTES } from "#mesh/sealed-value.ts";
import type { Queryable } from "./database.ts";

/**
 * The key under which the service's processes seal values (see mesh/sealed-value.ts): they share it, for it stands in
 * their database. Whoever asks first makes it; it stays the same for as long as the database exists.
 */
export async function sealingKey(db: Queryable): Promise<Uint8Array> {
  const [known] = await db.query<KeyRow>(selectKey);
  if (known !== undefined) return known.key;
  // Of several at once one is written, and the others wait for it here: afterwards all of them read the same.
  await db.query(insertKey, [randomBytes(SEALING_KEY_BYTES)]);
  const [made] = await db.query<KeyRow>(selectKey);
  if (made === undefined) throw new Error("The sealing key is gone, though nothing ever deletes it.");
  return made.key;
}

interface KeyRow {
  readonly key: Buffer;
}

const selectKey = "select key from sealing_key";

const insertKey = "insert into sealing_key (key) values ($1) on conflict do nothing";
