import { expect, test } from "vitest";
import { lessTimeout, parseTimeout, withinTimers } from "./timeout.ts";

test.each([
  ["2H", 7_200_000],
  ["3M", 180_000],
  ["5S", 5_000],
  ["250m", 250],
  ["1500u", 1.5],
  ["7000000n", 7],
  ["-5S", undefined],
  ["5", undefined],
  ["soon", undefined],
])("%s is %d ms", (timeout, ms) => {
  expect(parseTimeout(timeout)).toBe(ms);
});

test.each([
  ["99999999H", "2147483S"],
  ["2147484S", "2147483S"],
  ["2147483S", "2147483S"],
  ["99999999m", "99999999m"],
  ["999999999S", "2147483S"],
  ["nonsense", "nonsense"],
])("%s goes to servers as %s", (timeout, sent) => {
  expect(withinTimers(timeout)).toBe(sent);
});

test.each([
  ["5S", 1_200.4, "3799m"],
  ["100m", 250, "1m"],
  ["99999999H", 10, "2147483S"],
  ["200000S", 1_000, "199999S"],
  ["nonsense", 10, "nonsense"],
])("of %s, %d ms later, %s are left", (timeout, usedMs, left) => {
  expect(lessTimeout(timeout, usedMs)).toBe(left);
});
