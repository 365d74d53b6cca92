import { isReason } from "#mesh/contract/errors.ts";
import { decodePageToken, encodePageToken } from "#mesh/rpc/page-token.ts";
import { fail } from "./errors.ts";

/** A token to go on from `position` in the same watch. */
export function encodeResumeToken(watch: unknown, position: unknown): string {
  return encodePageToken(watch, position);
}

/** The position in a token that is not empty; check it before use. Throws RESUME_TOKEN_INVALID for one of another watch. */
export function decodeResumeToken(watch: unknown, token: string): unknown {
  try {
    return decodePageToken(watch, token);
  } catch (error) {
    if (!isReason(error, "INVALID_PAGE_TOKEN")) throw error;
    throw fail("RESUME_TOKEN_INVALID", "The token is not one that this watch gave.", {}, { cause: error });
  }
}
