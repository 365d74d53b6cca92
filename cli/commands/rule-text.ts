import { Code } from "#gen/google/rpc/code.ts";
import type { TrafficFault, TrafficSplit } from "#gen/mesh/v1/discovery_service.ts";
import type { TrafficRule } from "#gen/mesh/v1/traffic_service.ts";
import { spanText } from "../span-text.ts";
import { fromDuration, methodName } from "../values.ts";

/** A rule in words, without its service: `90 % to v1, 10 % to v2`. */
export function describeRule({ effect }: TrafficRule): string {
  if (effect?.$case === "split") return describeSplit(effect.value);
  return effect?.$case === "fault" ? describeFault(effect.value) : "an unknown rule";
}

/** `90 % to v1, 10 % to v2; with x-canary: 1 to v2`. */
export function describeSplit({ weights, headerMatches }: TrafficSplit): string {
  const shares = weights.map(({ version, percent }) => `${percent} % to ${version}`).join(", ");
  const matches = headerMatches.map(({ header, value, version }) => `with ${header}: ${value} to ${version}`);
  return [shares, ...matches].join("; ");
}

/** `10 % of calls by orders of GetCart leave 200 ms later and fail with UNAVAILABLE`. */
export function describeFault({ callers, methods, percent, delay, statusCode }: TrafficFault): string {
  const by = callers.length === 0 ? "" : ` by ${callers.join(", ")}`;
  const of = methods.length === 0 ? "" : ` of ${methods.map(methodName).join(", ")}`;
  const effects = [
    ...(delay === undefined ? [] : [`leave ${spanText(fromDuration(delay))} later`]),
    ...(statusCode === 0 ? [] : [`fail with ${codeName(statusCode)}`]),
  ];
  return `${percent} % of calls${by}${of} ${effects.join(" and ")}`;
}

/** What is left of a rule's life: `for 4 min 59 s more`; `until it is ended` for one that does not end by itself. */
export function describeRest({ expireTime }: TrafficRule, nowMs: number): string {
  if (expireTime === undefined) return "until it is ended";
  return `for ${spanText(Math.max(0, expireTime.getTime() - nowMs))} more`;
}

function codeName(code: number): string {
  return Object.entries(Code).find(([, value]) => value === code)?.[0] ?? `code ${code}`;
}
