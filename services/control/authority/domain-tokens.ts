/**
 * How many tokens of a service are remembered: those that were used and could still be used again. Of each service by
 * itself, so that whoever holds one join key cannot keep all others from joining.
 */
export const MAX_USED_TOKENS = 1_000;

/** A token that was used, and for which key. */
export interface UsedToken {
  readonly service: string;
  /** Its name, unique within the service. */
  readonly id: string;
  /** The SHA-256 of the public key, in hex. */
  readonly key: string;
  readonly expireTime: Date;
}

export type UsedTokens = readonly UsedToken[];

/** Whether a token may be used for a key; and what is remembered from then on. */
export function useToken(
  used: UsedTokens,
  { service, id, key, expireTime }: UsedToken,
  now: Date,
): { readonly next: UsedTokens; readonly result: "good" | "used" | "too_many" } {
  const before = used.find((one) => one.id === id && one.service === service);
  if (before !== undefined) return { next: used, result: before.key === key ? "good" : "used" };
  const alive = used.filter((one) => one.expireTime > now);
  if (alive.filter((one) => one.service === service).length >= MAX_USED_TOKENS)
    return { next: used, result: "too_many" };
  return { next: [...alive, { service, id, key, expireTime }], result: "good" };
}
