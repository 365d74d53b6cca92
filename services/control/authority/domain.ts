/** How long everybody has at the least to learn of another authority, who just then has no connection to control. */
export const INTRODUCE_MIN_MS = 10_000;
/** How long it is waited for those who do not acknowledge it. */
export const INTRODUCE_MAX_MS = 60_000;
/** How far the clocks of two processes may be apart: by so much earlier a certificate is good, and later trusted. */
export const CLOCK_SKEW_MS = 60_000;
/** How many rotations are remembered, so that copies of their requests begin no other. */
const MAX_ROTATIONS = 100;

/** What becomes of an authority, in this order. The very first begins SIGNING. */
export type AuthorityState = "INTRODUCED" | "SIGNING" | "RETIRING";

/** A key and its certificate, that sign the certificates of processes. */
export interface AuthorityKey {
  /** From 1. */
  readonly generation: number;
  /** PEM. */
  readonly certificate: string;
  /** PKCS #8, as PEM. Undefined when it signs no more. */
  readonly privateKey: string | undefined;
  /** The SHA-256 of the certificate, in hex. */
  readonly fingerprint: string;
  readonly createTime: Date;
  readonly expireTime: Date;
}

export interface Authority extends AuthorityKey {
  readonly state: AuthorityState;
  /** The longest that any of its certificates is good for. */
  readonly lifetimeMs: number;
  /** Of a RETIRING one: when the last of its certificates has expired. */
  readonly dropTime: Date | undefined;
}

/** Who asked for which authority. */
export interface Rotation {
  readonly caller: string;
  readonly requestId: string;
  readonly generation: number;
}

/** All authorities that are trusted, the oldest first. One of them signs. */
export interface Authorities {
  readonly trusted: readonly Authority[];
  readonly rotations: readonly Rotation[];
}

/** The authorities of a new mesh. */
export function firstAuthority(key: AuthorityKey, lifetimeMs: number): Authorities {
  return { trusted: [{ ...key, state: "SIGNING", lifetimeMs, dropTime: undefined }], rotations: [] };
}

/** The one that signs. */
export function signingAuthority({ trusted }: Authorities): Authority {
  const signing = trusted.find(({ state }) => state === "SIGNING");
  if (signing === undefined) throw new Error("no authority signs, though one always does");
  return signing;
}

/** The generation that another authority would have. */
export function nextGeneration({ trusted }: Authorities): number {
  return Math.max(...trusted.map(({ generation }) => generation)) + 1;
}

export function isRotating({ trusted }: Authorities): boolean {
  return trusted.length > 1;
}

/** Whether this request has begun a rotation, which may be over. */
export function hasBegun({ rotations }: Authorities, { caller, requestId }: Omit<Rotation, "generation">): boolean {
  return rotations.some((one) => one.caller === caller && one.requestId === requestId);
}

/** Begins a rotation: everybody is to trust this key, which signs nothing yet. */
export function introduce(
  { trusted, rotations }: Authorities,
  key: AuthorityKey,
  by: Omit<Rotation, "generation">,
): Authorities {
  const introduced = { ...key, state: "INTRODUCED" as const, lifetimeMs: 0, dropTime: undefined };
  const rotation = { ...by, generation: key.generation };
  return { trusted: [...trusted, introduced], rotations: [...rotations, rotation].slice(-MAX_ROTATIONS) };
}

export interface Progress {
  readonly now: Date;
  /** Since when the watchers could have heard of the authorities as they are: this process's start, if that is later. */
  readonly toldSince: Date;
  /** Whether all watchers have acknowledged them. */
  readonly isKnown: boolean;
  /** How long a certificate is good for that is signed from now on. */
  readonly lifetimeMs: number;
}

/** Takes the step of a rotation that is due; the same authorities when none is. */
export function advance(authorities: Authorities, progress: Progress): Authorities {
  const { now } = progress;
  const kept = authorities.trusted.filter(({ dropTime }) => dropTime === undefined || dropTime > now);
  const introduced = kept.find(({ state }) => state === "INTRODUCED");
  if (introduced !== undefined && isDue(introduced, progress)) {
    return { ...authorities, trusted: kept.map((one) => handOver(one, introduced, progress)) };
  }
  return kept.length === authorities.trusted.length ? authorities : { ...authorities, trusted: kept };
}

/** Notes how long certificates are good for that are signed from now on; the same when that is nothing new. */
export function withLifetime(authorities: Authorities, lifetimeMs: number): Authorities {
  if (signingAuthority(authorities).lifetimeMs >= lifetimeMs) return authorities;
  const trusted = authorities.trusted.map((one) => (one.state === "SIGNING" ? { ...one, lifetimeMs } : one));
  return { ...authorities, trusted };
}

function isDue({ createTime }: Authority, { now, toldSince, isKnown }: Progress): boolean {
  const toldMs = now.getTime() - Math.max(createTime.getTime(), toldSince.getTime());
  return toldMs >= INTRODUCE_MAX_MS || (isKnown && toldMs >= INTRODUCE_MIN_MS);
}

/** The introduced one signs, and the one that did forgets its key: nobody can sign with it any more. */
function handOver(one: Authority, introduced: Authority, { now, lifetimeMs }: Progress): Authority {
  if (one === introduced) return { ...one, state: "SIGNING", lifetimeMs };
  if (one.state !== "SIGNING") return one;
  const dropTime = new Date(now.getTime() + one.lifetimeMs + CLOCK_SKEW_MS);
  return { ...one, state: "RETIRING", privateKey: undefined, dropTime };
}
