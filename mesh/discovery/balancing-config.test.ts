import { expect, test } from "vitest";
import "./balancer.ts"; // registers the policy
import { balancing, fairShare, POLICY, parseStrictly } from "./balancing-config.ts";

test("what is made here is understood in full", () => {
  expect(parseStrictly(balancing([])).getLoadBalancerName()).toBe(POLICY);
  expect(parseStrictly(balancing(["v1", "v2"])).toJsonObject()).toEqual(balancing(["v1", "v2"]));
});

const { outlier_detection: detection } = fairShare;

test.each<[string, unknown]>([
  ["nothing", undefined],
  ["two policies", { round_robin: {}, pick_first: {} }],
  ["a policy that there is not", { least_request: {} }],
  // grpc-js passes over these without a word, and detects nothing.
  ["keys in camel case", { outlier_detection: { maxEjectionPercent: 50, child_policy: [{ round_robin: {} }] } }],
  ["a duration as text", { outlier_detection: { ...detection, interval: "2s" } }],
  ["a percentage over 100", { outlier_detection: { ...detection, max_ejection_percent: 101 } }],
  ["a child that there is not", { outlier_detection: { ...detection, child_policy: [{ least_request: {} }] } }],
  ["a child that takes no turns", { outlier_detection: { ...detection, child_policy: [{ pick_first: {} }] } }],
  ["no turns", { [POLICY]: { versions: [] } }],
  ["a version twice", balancing(["v1", "v1"])],
  ["a version without a name", balancing([""])],
  ["keys of others", { [POLICY]: { versions: [], turns: fairShare, weights: [1] } }],
])("refuses %s instead of picking the first instance for ever", (_, config) => {
  expect(() => parseStrictly(config)).toThrow();
});
