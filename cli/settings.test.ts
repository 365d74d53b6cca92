import { expect, test } from "vitest";
import { OperatorError } from "./operator-error.ts";
import { readSettings, wantsColour } from "./settings.ts";

test("has defaults for everything", () => {
  expect(readSettings({}, {}, "/work")).toEqual({
    port: 8080,
    dataDir: "/work/.shopmesh",
    postgresUrl: undefined,
    postgresPrefix: "shopmesh",
    logLevel: "info",
    verbose: false,
    instances: {},
  });
});

test("takes flags before the environment, and the environment before defaults", () => {
  const env = { SHOPMESH_PORT: "9000", SHOPMESH_DATA: "data", SHOPMESH_LOG_LEVEL: "warn" };
  expect(readSettings(env, {}, "/work")).toMatchObject({ port: 9000, dataDir: "/work/data", logLevel: "warn" });
  const flags = { port: "9001", data: "/elsewhere", logLevel: "error" };
  expect(readSettings(env, flags, "/work")).toMatchObject({ port: 9001, dataDir: "/elsewhere", logLevel: "error" });
});

test("takes an empty variable for none", () => {
  expect(readSettings({ SHOPMESH_PORT: "", SHOPMESH_POSTGRES_URL: "" })).toMatchObject({
    port: 8080,
    postgresUrl: undefined,
  });
});

test("shows every line when services log at debug", () => {
  expect(readSettings({ SHOPMESH_LOG_LEVEL: "debug" }).verbose).toBe(true);
  expect(readSettings({}, { verbose: true }).verbose).toBe(true);
});

test.each(["0", "65536", "-1", "80.5", "0x50", " 80", "http"])("refuses the port %j, naming the variable", (port) => {
  expect(() => readSettings({ SHOPMESH_PORT: port })).toThrow(/^SHOPMESH_PORT must be a port from 1 to 65535, not "/);
  expect(() => readSettings({}, { port })).toThrow(/^--port must be/);
});

test("refuses a level that is none", () => {
  expect(() => readSettings({ SHOPMESH_LOG_LEVEL: "loud" })).toThrow(/SHOPMESH_LOG_LEVEL must be one of trace, debug/);
});

test.each(["localhost:5432", "mysql://user:s3cret@host/db", "postgres://", "postgres:s3cret"])(
  "refuses %j as a PostgreSQL without repeating it",
  (value) => {
    const refused = catchError(() => readSettings({ SHOPMESH_POSTGRES_URL: value }));
    expect(refused.message).toBe("SHOPMESH_POSTGRES_URL must look like postgres://user:password@host:5432/postgres");
    expect(refused.exitCode).toBe(2);
  },
);

test.each(["Shop", "1shop", "shop-a", "a".repeat(33)])("refuses %j as a prefix", (prefix) => {
  expect(() => readSettings({ SHOPMESH_POSTGRES_PREFIX: prefix })).toThrow(/^SHOPMESH_POSTGRES_PREFIX must be/);
});

test("reads how many instances to run of which services", () => {
  expect(readSettings({ SHOPMESH_INSTANCES: "orders=2, payments=3" }).instances).toEqual({ orders: 2, payments: 3 });
  expect(readSettings({ SHOPMESH_INSTANCES: "orders=2" }, { instances: "cart=8" }).instances).toEqual({ cart: 8 });
  for (const instances of ["orders", "orders=0", "orders=9", "orders=2;cart=2", "=2", "orders=-1", "orders=2,"]) {
    expect(() => readSettings({}, { instances }), instances).toThrow(/^--instances must look like orders=2/);
  }
});

test.each([
  [{}, true, true],
  [{}, false, false],
  [{ NO_COLOR: "1" }, true, false],
  [{ NO_COLOR: "" }, true, true],
  [{ FORCE_COLOR: "1" }, false, true],
  [{ FORCE_COLOR: "0" }, true, false],
  [{ FORCE_COLOR: "1", NO_COLOR: "1" }, false, true],
  [{ TERM: "dumb" }, true, false],
])("decides on colour: %j, a terminal: %j → %j", (env, isTerminal, expected) => {
  expect(wantsColour(env, isTerminal)).toBe(expected);
});

function catchError(work: () => unknown): OperatorError {
  try {
    work();
  } catch (error) {
    if (error instanceof OperatorError) return error;
  }
  throw new Error("it was not refused");
}
