/** How many wrong tries are free, and how long the next one then has to wait. */
export interface AttemptRule {
  /** So many wrong tries cost nothing. */
  readonly free: number;
  /** In this time one of them is forgotten. */
  readonly drainMs: number;
  /** How long the next try waits after the last free one; each further wrong one doubles it … */
  readonly firstDelayMs: number;
  /** … up to this. */
  readonly maxDelayMs: number;
}

/** Wrong tries of late: so many, less what has drained off by `updateTime`. */
export interface AttemptCount {
  readonly level: number;
  readonly updateTime: Date;
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** A device that has signed in as the customer before. Nobody else can use up its tries. */
export const DEVICE_RULE: AttemptRule = {
  free: 10,
  drainMs: HOUR_MS,
  firstDelayMs: 30 * SECOND_MS,
  maxDelayMs: HOUR_MS,
};
/** Unknown devices of one source, at one account. */
export const SOURCE_AT_ACCOUNT_RULE: AttemptRule = { ...DEVICE_RULE, free: 5 };
/** All unknown devices, at one account: however many sources there are, some 50 tries a day. */
export const ACCOUNT_RULE: AttemptRule = {
  free: 50,
  drainMs: 30 * MINUTE_MS,
  firstDelayMs: MINUTE_MS,
  maxDelayMs: HOUR_MS,
};
/**
 * Unknown devices of one source, at all accounts. Many people can share an address, so it is slowed and never shut: there
 * is a try every 15 seconds at the least.
 */
export const SOURCE_RULE: AttemptRule = {
  free: 100,
  drainMs: 36 * SECOND_MS,
  firstDelayMs: SECOND_MS,
  maxDelayMs: 15 * SECOND_MS,
};
/** One session that tries to change the password. */
export const SESSION_RULE: AttemptRule = { ...DEVICE_RULE, free: 5 };

/** The doublings that matter: from here on every delay is the longest. */
const MAX_DOUBLINGS = 30;

/** How long the next try has to wait; 0 when it need not. */
export function waitMs({ level, updateTime }: AttemptCount, rule: AttemptRule, now: Date): number {
  const over = Math.round(level) - rule.free;
  if (over < 0) return 0;
  const delayMs = Math.min(rule.firstDelayMs * 2 ** Math.min(over, MAX_DOUBLINGS), rule.maxDelayMs);
  return Math.max(0, updateTime.getTime() + delayMs - now.getTime());
}

/** The count after one more wrong try. */
export function afterFailure(count: AttemptCount, rule: AttemptRule, now: Date): AttemptCount {
  const elapsedMs = Math.max(0, now.getTime() - count.updateTime.getTime());
  return { level: Math.max(0, count.level - elapsedMs / rule.drainMs) + 1, updateTime: now };
}

/** From when on nothing is left of a count. */
export function drainTime({ level, updateTime }: AttemptCount, rule: AttemptRule): Date {
  return new Date(updateTime.getTime() + level * rule.drainMs);
}

/**
 * Whom an address stands for: an IPv4 address by itself, of an IPv6 address the first 64 bits, since whoever has one has
 * all that begin so (RFC 6177). Anything else by itself.
 */
export function sourceOf(address: string): string {
  const [plain = ""] = address.toLowerCase().split("%");
  const mapped = /^(?:0*:)*:?(?:0+:)*ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(plain);
  if (mapped?.[1] !== undefined) return mapped[1];
  if (!plain.includes(":")) return plain;
  const [head = "", tail] = plain.split("::");
  const first = head === "" ? [] : head.split(":");
  const last = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, IPV6_GROUPS - first.length - last.length);
  const groups = [...first, ...Array.from({ length: zeros }, () => "0"), ...last];
  return `${groups
    .slice(0, IPV6_GROUPS / 2)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":")}::/64`;
}

const IPV6_GROUPS = 8;
