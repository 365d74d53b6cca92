import type { Duration } from "#gen/google/protobuf/duration.ts";
import type { TrafficFault, TrafficSplit } from "#gen/mesh/v1/discovery_service.ts";
import type { TrafficRule } from "#gen/mesh/v1/traffic_service.ts";
import type { Fault, FaultRule, Split, SplitRule } from "./domain.ts";

const MS_PER_SECOND = 1_000;
const NANOS_PER_MS = 1_000_000;

/** A split as the contract shows it. */
export function splitMessage({ headerMatches, weights }: Split): TrafficSplit {
  return { headerMatches, weights };
}

/** A fault as the contract shows it. */
export function faultMessage({ faultId, fault }: FaultRule): TrafficFault {
  const { callers, methods, percent, delayMs, statusCode } = fault;
  return { faultId, callers, methods, percent, statusCode, delay: delayMs === 0 ? undefined : durationOf(delayMs) };
}

/** A rule as the contract shows it. */
export function ruleMessage(rule: SplitRule | FaultRule): TrafficRule {
  const { service, createTime, expireTime } = rule;
  const effect: TrafficRule["effect"] =
    "split" in rule
      ? { $case: "split", value: splitMessage(rule.split) }
      : { $case: "fault", value: faultMessage(rule) };
  return { service, effect, createTime, expireTime };
}

/** A split as a request has it, without what the contract does not know. */
export function splitOf({ headerMatches, weights }: TrafficSplit): Split {
  return {
    headerMatches: headerMatches.map(({ header, value, version }) => ({ header, value, version })),
    weights: weights.map(({ version, percent }) => ({ version, percent })),
  };
}

export function faultOf({ callers, methods, percent, delay, statusCode }: TrafficFault): Fault {
  return { callers: [...callers], methods: [...methods], percent, delayMs: msOf(delay), statusCode };
}

/** A span in milliseconds; zero when it is not set. */
export function msOf(duration: Duration | undefined): number {
  if (duration === undefined) return 0;
  return Number(duration.seconds) * MS_PER_SECOND + duration.nanos / NANOS_PER_MS;
}

function durationOf(ms: number): Duration {
  const seconds = Math.floor(ms / MS_PER_SECOND);
  return { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * MS_PER_SECOND) * NANOS_PER_MS) };
}
