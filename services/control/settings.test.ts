import { expect, test } from "vitest";
import { readControlSettings } from "./settings.ts";

const given = { SHOPMESH_CONTROL_DATA: "/data/control", SHOPMESH_JOIN_SECRET: "5a".repeat(32) };

test("control needs a folder and the join secret, and has defaults for the rest", () => {
  expect(readControlSettings(given)).toEqual({
    dataDir: "/data/control",
    joinSecret: "5a".repeat(32),
    joinListen: { host: "127.0.0.1", port: 0 },
    certificateLifetimeMs: 3_600_000,
  });
});

test.each([
  ["SHOPMESH_CONTROL_DATA", ""],
  ["SHOPMESH_JOIN_SECRET", ""],
  ["SHOPMESH_JOIN_SECRET", "5A".repeat(32)],
  ["SHOPMESH_JOIN_SECRET", "5a".repeat(31)],
  ["SHOPMESH_JOIN_LISTEN", "9100"],
  ["SHOPMESH_CERTIFICATE_LIFETIME_SECONDS", "9"],
  ["SHOPMESH_CERTIFICATE_LIFETIME_SECONDS", "1h"],
  ["SHOPMESH_CERTIFICATE_LIFETIME_SECONDS", "604801"],
])("%s cannot be %j", (name, value) => {
  expect(() => readControlSettings({ ...given, [name]: value })).toThrow(name);
});

test("what is said of a join secret that is malformed does not show it", () => {
  expect(() => readControlSettings({ ...given, SHOPMESH_JOIN_SECRET: "almost right" })).not.toThrow("almost right");
});
