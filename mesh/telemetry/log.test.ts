import { expect, test } from "vitest";
import { meshFailure } from "#mesh/contract/errors.ts";
import { createLogger } from "./log.ts";

function logged(write: (log: ReturnType<typeof createLogger>) => void): unknown {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  write(createLogger({ workload: "cart", instance: "2", version: "1.0", level: "info", destination }));
  return JSON.parse(lines.join(""));
}

test("a line tells when, how grave, and who", () => {
  expect(logged((log) => log.info({ sku: "A-1" }, "added"))).toMatchObject({
    level: "info",
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    workload: "cart",
    instance: "2",
    version: "1.0",
    sku: "A-1",
    msg: "added",
  });
});

test("an error is written with its stack and its causes", () => {
  const cause = meshFailure("OVERLOADED", "busy");
  const line = logged((log) => log.error({ err: new Error("could not add", { cause }) }, "failed"));
  expect(line).toMatchObject({
    err: {
      type: "Error",
      message: "could not add",
      stack: expect.stringContaining("log.test.ts"),
      cause: { type: "RpcError", message: "busy", code: "RESOURCE_EXHAUSTED", reason: "OVERLOADED" },
    },
  });
});

test("what a driver hangs on its errors stays out", () => {
  const error = Object.assign(new Error("duplicate key"), {
    code: "23505",
    detail: "(email)=(a@b.c)",
    query: "insert",
  });
  const line = logged((log) => log.error({ err: error }, "failed"));
  expect(line).toMatchObject({ err: { code: "23505" } });
  expect(JSON.stringify(line)).not.toMatch(/a@b\.c|insert/);
});

test("a chain of causes has an end, also when it goes in a circle", () => {
  const error = new Error("a");
  error.cause = error;
  expect(JSON.stringify(logged((log) => log.error({ err: error }, "failed"))).length).toBeLessThan(20_000);
});

test("what is thrown and is no error is written as it reads", () => {
  expect(logged((log) => log.error({ err: "gone" }, "failed"))).toMatchObject({
    err: { type: "string", message: "gone" },
  });
});
