import { isReason, meshFailure } from "#mesh/contract/errors.ts";
import { decodePageToken, encodePageToken } from "./page-token.ts";

/** A stream of changes that is gone on with. */
export interface Resumed {
  /** What is watched, as plain JSON: a token is good for the same alone. */
  readonly watch: unknown;
  /** As it came; empty to begin. */
  readonly token: string;
  /** Makes the failure for a token that no such watch gave: the service's RESUME_TOKEN_INVALID. */
  readonly invalid: (cause?: unknown) => Error;
}

/** An opaque token to go on after `position` with the same watch, neither secret nor signed, like that of a page. */
export function encodeResumeToken(watch: unknown, position: unknown): string {
  return encodePageToken(watch, position);
}

/** The position in a token, undefined for the empty one. What is in it may be anything that is JSON: check it before use. */
export function decodeResumeToken({ watch, token, invalid }: Resumed): unknown {
  try {
    return decodePageToken(watch, token);
  } catch (error) {
    throw isReason(error, "INVALID_PAGE_TOKEN") ? invalid(error) : error;
  }
}

/**
 * The versions that a watcher has seen, by a token that carries them in the order of `current`, which are the versions
 * now; 0 of each for the empty token. A version that is not there yet is not one that a watch gave.
 */
export function versionsSeen(resumed: Resumed, current: readonly number[]): readonly number[] {
  const position = decodeResumeToken(resumed);
  if (position === undefined) return current.map(() => 0);
  if (!areVersions(position) || position.length !== current.length) throw resumed.invalid();
  if (position.some((version, at) => version > (current[at] ?? 0))) throw resumed.invalid();
  return position;
}

/** The same of one thing: its token carries `[version]`. */
export function versionSeen(resumed: Resumed, current: number): number {
  return versionsSeen(resumed, [current])[0] ?? 0;
}

function areVersions(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((version) => Number.isSafeInteger(version) && version >= 0);
}

/** How a watch ends whose process is about to: its caller goes on elsewhere. */
export function watchInterrupted(service: string): Error {
  const message = "this instance shuts down; watch again with the last resume_token";
  return meshFailure("SERVICE_UNAVAILABLE", message, { metadata: { service } });
}
