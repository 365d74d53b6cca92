import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ACCOUNT_RULE,
  type AttemptCount,
  type AttemptRule,
  afterFailure,
  DEVICE_RULE,
  drainTime,
  SOURCE_AT_ACCOUNT_RULE,
  SOURCE_RULE,
  sourceOf,
  waitMs,
} from "./domain-attempts.ts";

const start = new Date("2026-06-01T12:00:00Z");
const later = (ms: number, from = start) => new Date(from.getTime() + ms);
const nothing: AttemptCount = { level: 0, updateTime: start };

const failures = (rule: AttemptRule, count: number): AttemptCount =>
  Array.from({ length: count }).reduce<AttemptCount>((sum) => afterFailure(sum, rule, start), nothing);

test("the free tries wait for nothing, and each further one twice as long as the one before", () => {
  const waits = Array.from({ length: 9 }, (_, at) =>
    waitMs(failures(SOURCE_AT_ACCOUNT_RULE, at), SOURCE_AT_ACCOUNT_RULE, start),
  );
  expect(waits).toEqual([0, 0, 0, 0, 0, 30_000, 60_000, 120_000, 240_000]);
  expect(waitMs(failures(SOURCE_AT_ACCOUNT_RULE, 5_000), SOURCE_AT_ACCOUNT_RULE, start)).toBe(3_600_000);
});

test("a wait ends, and what was counted drains off", () => {
  const five = failures(SOURCE_AT_ACCOUNT_RULE, 5);
  expect(waitMs(five, SOURCE_AT_ACCOUNT_RULE, later(29_999))).toBe(1);
  expect(waitMs(five, SOURCE_AT_ACCOUNT_RULE, later(30_000))).toBe(0);
  expect(drainTime(five, SOURCE_AT_ACCOUNT_RULE)).toEqual(later(5 * 3_600_000));
  const fresh = afterFailure(five, SOURCE_AT_ACCOUNT_RULE, later(5 * 3_600_000));
  expect(fresh.level).toBe(1);
});

test.each([
  ["a known device", DEVICE_RULE, 45],
  ["one source at one account", SOURCE_AT_ACCOUNT_RULE, 40],
  ["all unknown devices at one account", ACCOUNT_RULE, 110],
  ["one source at all accounts", SOURCE_RULE, 5_900],
])("%s that tries as soon as it may has a bounded number of tries a day", (_, rule, most) => {
  let [count, now, tries] = [nothing, start, 0];
  while (now < later(86_400_000)) {
    now = later(waitMs(count, rule, now), now);
    count = afterFailure(count, rule, now);
    tries += 1;
  }
  expect(tries).toBeLessThanOrEqual(most);
  expect(tries).toBeGreaterThan(rule.free);
});

test("a clock that goes back neither drains nor throws", () => {
  fc.assert(
    fc.property(fc.integer({ min: -1e9, max: 1e9 }), fc.integer({ min: 0, max: 200 }), (shiftMs, count) => {
      const before = failures(DEVICE_RULE, count);
      const after = afterFailure(before, DEVICE_RULE, later(shiftMs));
      expect(after.level).toBeGreaterThan(0);
      expect(after.level).toBeLessThanOrEqual(before.level + 1);
      expect(waitMs(after, DEVICE_RULE, later(shiftMs))).toBeLessThanOrEqual(DEVICE_RULE.maxDelayMs);
    }),
  );
});

describe("a source", () => {
  test.each([
    ["192.0.2.7", "192.0.2.7"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["0:0:0:0:0:ffff:192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:DB8:1:2::9", "2001:db8:1:2::/64"],
    ["2001:0db8:0001:0002:ffff::", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["::", "0:0:0:0::/64"],
    ["", ""],
    ["what is this", "what is this"],
  ])("of %j is %j", (address, source) => {
    expect(sourceOf(address)).toBe(source);
  });
});
