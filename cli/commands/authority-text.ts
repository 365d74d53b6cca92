import { type Authority, AuthorityState } from "#gen/mesh/v1/certificate_service.ts";

/** An authority in words: `authority 2 (3fa94c01b2d7) signs, and is good until 2036-11-20`. */
export function describeAuthority({ generation, state, fingerprint, expireTime }: Authority): string {
  const name = `authority ${generation} (${fingerprint.slice(0, 12)})`;
  // One that is retired is done with long before it expires.
  const ends = expireTime === undefined || state === AuthorityState.RETIRING;
  const until = ends ? "" : `, and is good until ${expireTime.toISOString().slice(0, 10)}`;
  return `${name} ${doing(state)}${until}`;
}

function doing(state: AuthorityState): string {
  switch (state) {
    case AuthorityState.INTRODUCED:
      return "is trusted, and will sign when everybody knows it";
    case AuthorityState.SIGNING:
      return "signs";
    case AuthorityState.RETIRING:
      return "signs no more, and is trusted until its last certificate has expired";
    default:
      return "is at a step that this shopmesh does not know";
  }
}
