import { isDeepStrictEqual } from "node:util";
import { experimental } from "@grpc/grpc-js";

/** The name of our policy, as service configs know it. */
export const POLICY = "shopmesh_versions";

type RawConfig = Readonly<Record<string, object>>;

/**
 * All instances take turns, but for those that fail where others do not: every two seconds, whoever failed more than half
 * of at least ten calls is left out for five seconds, longer each time it happens again, up to a minute.
 *
 * Made for few instances: two suffice to compare, and half of them, rounded up, may be left out, so never the only one
 * and never all. grpc-js counts each status but OK as a failure; what counts here is decided by `isFault`.
 *
 * Its keys and durations are those of its JSON form, in snake case: others would be passed over without a word.
 */
export const fairShare: RawConfig = {
  outlier_detection: {
    interval: { seconds: 2, nanos: 0 },
    base_ejection_time: { seconds: 5, nanos: 0 },
    max_ejection_time: { seconds: 60, nanos: 0 },
    max_ejection_percent: 50,
    failure_percentage_ejection: { threshold: 50, enforcement_percentage: 100, minimum_hosts: 2, request_volume: 10 },
    child_policy: [{ round_robin: {} }],
  },
};

/** How calls to one service are balanced: among all its instances, or by version where a split names versions. */
export class BalancingConfig implements experimental.TypedLoadBalancingConfig {
  /** The versions that calls are sent to by name. */
  readonly versions: readonly string[];
  /** How instances take turns, among all and within a version. */
  readonly turns: experimental.TypedLoadBalancingConfig;

  constructor(versions: readonly string[], turns: experimental.TypedLoadBalancingConfig) {
    this.versions = versions;
    this.turns = turns;
  }

  getLoadBalancerName(): string {
    return POLICY;
  }

  toJsonObject(): object {
    return { [POLICY]: { versions: this.versions, turns: this.turns.toJsonObject() } };
  }

  /** Throws when it is anything but what `balancing` makes. */
  static createFromJson(json: unknown): BalancingConfig {
    if (typeof json !== "object" || json === null) throw new TypeError("not an object");
    const { versions, turns, ...rest } = json as { readonly versions?: unknown; readonly turns?: unknown };
    if (Object.keys(rest).length > 0) throw new TypeError(`unknown keys: ${Object.keys(rest).join(", ")}`);
    if (!isNames(versions)) throw new TypeError("versions must be names, each once");
    return new BalancingConfig(versions, parseStrictly(turns));
  }
}

/** The policy for a service of which these versions are sent to by name. */
export function balancing(versions: Iterable<string>): Record<string, object> {
  return { [POLICY]: { versions: [...versions], turns: fairShare } };
}

/**
 * Reads a load-balancing config as grpc-js does, and throws where grpc-js would guess: what it cannot read at all it
 * takes for pick_first, and keys that it does not know it leaves out.
 */
export function parseStrictly(raw: unknown): experimental.TypedLoadBalancingConfig {
  if (typeof raw !== "object" || raw === null) throw new TypeError("not a load-balancing config");
  const parsed = experimental.parseLoadBalancingConfig({ ...raw });
  const understood: unknown = JSON.parse(JSON.stringify(parsed.toJsonObject()));
  if (isDeepStrictEqual(understood, JSON.parse(JSON.stringify(raw)))) return parsed;
  throw new TypeError(`understood only as ${JSON.stringify(understood)}: ${JSON.stringify(raw)}`);
}

function isNames(value: unknown): value is readonly string[] {
  if (!Array.isArray(value) || new Set(value).size !== value.length) return false;
  return value.every((name) => typeof name === "string" && name !== "");
}
