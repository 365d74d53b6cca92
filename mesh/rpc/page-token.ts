import { createHash } from "node:crypto";
import { meshFailure } from "#mesh/contract/errors.ts";
import { isId } from "#mesh/ids.ts";

/** Bytes of the digest that binds a token to its filter: enough that no two filters meet by chance. */
const DIGEST_BYTES = 12;

/**
 * An opaque token for the page after `position`, good for the same `filter` alone. Both are plain JSON values. The token
 * is neither secret nor signed: whoever makes one up gets a position of their own choosing within what they may see.
 */
export function encodePageToken(filter: unknown, position: unknown): string {
  return Buffer.concat([digest(filter), Buffer.from(JSON.stringify(position))]).toString("base64url");
}

/**
 * The position in a token; undefined for the empty token of a first page. Throws INVALID_PAGE_TOKEN for one that this
 * filter did not lead to. What is in it may be anything that is JSON: check it before use.
 */
export function decodePageToken(filter: unknown, token: string): unknown {
  if (token === "") return undefined;
  const bytes = Buffer.from(token, "base64url");
  if (!bytes.subarray(0, DIGEST_BYTES).equals(digest(filter))) throw invalidPageToken();
  try {
    return JSON.parse(bytes.subarray(DIGEST_BYTES).toString("utf8"));
  } catch {
    throw invalidPageToken();
  }
}

/**
 * The id in a token of a list that goes by ids, those with `prefix`; undefined for the empty token of a first page.
 * Throws INVALID_PAGE_TOKEN for anything else.
 */
export function decodeIdToken(filter: unknown, token: string, prefix: string): string | undefined {
  const position = decodePageToken(filter, token);
  if (position === undefined) return undefined;
  if (typeof position !== "string" || !isId(prefix, position)) throw invalidPageToken();
  return position;
}

/** A page of a list that goes by ids, out of what was found when one more than `limit` was asked for. */
export function pageById<Row extends { readonly id: string }>(
  found: readonly Row[],
  { limit, filter }: { readonly limit: number; readonly filter: unknown },
): { readonly items: readonly Row[]; readonly nextPageToken: string } {
  const items = found.slice(0, limit);
  const last = items.at(-1);
  const more = found.length > limit && last !== undefined;
  return { items, nextPageToken: more ? encodePageToken(filter, last.id) : "" };
}

/** The failure for a page token that is none of the method's own. */
export function invalidPageToken(): Error {
  return meshFailure("INVALID_PAGE_TOKEN", "The page token is not one that this method gave for this request.");
}

function digest(filter: unknown): Buffer {
  return createHash("sha256").update(JSON.stringify(filter)).digest().subarray(0, DIGEST_BYTES);
}
