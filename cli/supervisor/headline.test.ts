import { expect, test } from "vitest";
import { headline } from "./headline.ts";

test.each([
  [
    "the error that nobody caught",
    [
      "Error: Cannot find module 'x'",
      "    at load (file:1:2) {",
      "  code: 'MODULE_NOT_FOUND'",
      "}",
      "",
      "Node.js v20.20.2",
    ],
    "Error: Cannot find module 'x'",
  ],
  [
    "one without a stack",
    ["    triggerUncaughtException(", "    ^", "[ConfigError: X is not set]", "Node.js v20.20.2"],
    "[ConfigError: X is not set]",
  ],
  ["one of the log", ["ERROR could not start  err=broken", "    at start", "}"], "ERROR could not start  err=broken"],
  ["the later of two", ["TypeError: first", "RangeError: second"], "RangeError: second"],
  ["the last line when none names an error", ["out of memory", "aborted", "", "Node.js v22.1.0"], "aborted"],
  ["nothing where nothing was said", [], undefined],
])("of what a process said last, shows %s", (_, lines, expected) => {
  expect(headline(lines)).toBe(expected);
});
