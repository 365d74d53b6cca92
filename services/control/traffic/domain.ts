import { fail, ok, type Result } from "#mesh/result.ts";

/** How many faults may be in force. */
export const MAX_FAULTS = 100;
const ALL_PERCENT = 100;

/** How calls to a service are split between its versions. */
export interface Split {
  readonly headerMatches: readonly { readonly header: string; readonly value: string; readonly version: string }[];
  readonly weights: readonly { readonly version: string; readonly percent: number }[];
}

/** What callers do to calls before they leave. */
export interface Fault {
  /** Of these services alone; of all when it is empty. */
  readonly callers: readonly string[];
  /** To these methods alone; to all when it is empty. */
  readonly methods: readonly string[];
  readonly percent: number;
  /** Zero for none. */
  readonly delayMs: number;
  /** Zero for no failure. */
  readonly statusCode: number;
}

interface Rule {
  readonly service: string;
  readonly createTime: Date;
  /** Undefined for never. */
  readonly expireTime: Date | undefined;
}

export interface SplitRule extends Rule {
  readonly split: Split;
}

export interface FaultRule extends Rule {
  readonly faultId: string;
  readonly fault: Fault;
}

/** All rules that are in force: one split a service, and faults, the oldest first. */
export interface Rules {
  readonly splits: ReadonlyMap<string, SplitRule>;
  readonly faults: readonly FaultRule[];
}

export const noRules: Rules = { splits: new Map(), faults: [] };

/** What of a service is registered; no version when it is not. */
export type Versions = ReadonlySet<string>;

export type SplitRefusal =
  | { readonly kind: "malformed"; readonly problem: string }
  | { readonly kind: "service_unknown" }
  | { readonly kind: "version_unknown"; readonly version: string };

/** Puts a split in the place of the one there was, or says why it cannot be carried out. */
export function setSplit(rules: Rules, rule: SplitRule, versions: Versions): Result<Rules, SplitRefusal> {
  const problem = problemOf(rule.split);
  if (problem !== undefined) return fail({ kind: "malformed", problem });
  if (versions.size === 0) return fail({ kind: "service_unknown" });
  const unknown = calledVersions(rule.split).find((version) => !versions.has(version));
  if (unknown !== undefined) return fail({ kind: "version_unknown", version: unknown });
  return ok({ ...rules, splits: new Map(rules.splits).set(rule.service, rule) });
}

export function clearSplit(rules: Rules, service: string): Rules {
  if (!rules.splits.has(service)) return rules;
  const splits = new Map(rules.splits);
  splits.delete(service);
  return { ...rules, splits };
}

export type FaultRefusal = "malformed" | "service_unknown" | "too_many";

/** Adds a fault, or says why not. */
export function addFault(rules: Rules, rule: FaultRule, versions: Versions): Result<Rules, FaultRefusal> {
  if (rule.fault.delayMs === 0 && rule.fault.statusCode === 0) return fail("malformed");
  if (versions.size === 0) return fail("service_unknown");
  if (rules.faults.length >= MAX_FAULTS) return fail("too_many");
  return ok({ ...rules, faults: [...rules.faults, rule] });
}

export function removeFault(rules: Rules, faultId: string): Rules {
  const faults = rules.faults.filter((rule) => rule.faultId !== faultId);
  return faults.length === rules.faults.length ? rules : { ...rules, faults };
}

/** Leaves out what has ended by now; the same rules when nothing has. */
export function withoutExpired(rules: Rules, now: Date): Rules {
  const lasts = ({ expireTime }: Rule): boolean => expireTime === undefined || expireTime > now;
  const splits = [...rules.splits].filter(([, rule]) => lasts(rule));
  const faults = rules.faults.filter(lasts);
  if (splits.length === rules.splits.size && faults.length === rules.faults.length) return rules;
  return { splits: new Map(splits), faults };
}

/** The services of which the rules differ. */
export function changedServices(before: Rules, after: Rules): ReadonlySet<string> {
  const services = new Set([...before.splits.keys(), ...after.splits.keys()]);
  const changed = [...services].filter((service) => before.splits.get(service) !== after.splits.get(service));
  const gone = before.faults.filter((rule) => !after.faults.includes(rule));
  const fresh = after.faults.filter((rule) => !before.faults.includes(rule));
  return new Set([...changed, ...[...gone, ...fresh].map(({ service }) => service)]);
}

/** All rules by service; a split before faults, and these by age. */
export function listRules({ splits, faults }: Rules): readonly (SplitRule | FaultRule)[] {
  const services = new Set([...splits.keys(), ...faults.map(({ service }) => service)]);
  return [...services].toSorted().flatMap((service) => {
    const split = splits.get(service);
    return [...(split === undefined ? [] : [split]), ...faults.filter((rule) => rule.service === service)];
  });
}

function problemOf({ weights }: Split): string | undefined {
  const named = weights.map(({ version }) => version);
  const twice = named.find((version, index) => named.indexOf(version) !== index);
  if (twice !== undefined) return `the version ${twice} has two shares`;
  const sum = weights.reduce((total, { percent }) => total + percent, 0);
  return sum === ALL_PERCENT ? undefined : `the shares sum to ${sum}, not to ${ALL_PERCENT}`;
}

/** The versions that get calls. A share of nothing may name any version. */
function calledVersions({ weights, headerMatches }: Split): readonly string[] {
  const weighted = weights.filter(({ percent }) => percent > 0);
  return [...weighted, ...headerMatches].map(({ version }) => version);
}
