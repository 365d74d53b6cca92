import { appendFileSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { removeFolder, temporaryFolder } from "#testing/folders.ts";
import { runCommand } from "../command.ts";
import { runIn } from "../testing/fake-shop.ts";
import { captureOutput } from "../testing/programs.ts";

let dir: string;

beforeEach(async () => {
  dir = await temporaryFolder();
  mkdirSync(join(dir, "logs"));
});

afterEach(() => removeFolder(dir));

const path = (name: string): string => join(dir, "logs", `${name}.log`);
const record = (timeMs: number, msg: string, level = 30): string =>
  `${JSON.stringify({ level, time: timeMs, workload: "cart", msg })}\n`;

/** The messages that the command showed, with the names of their processes. */
async function shown(...args: readonly string[]): Promise<readonly string[]> {
  const { code, text } = await runIn(undefined, ["logs", "--data", dir, ...args]);
  expect(code).toBe(0);
  return messages(text);
}

function messages(text: string): readonly string[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.replace(/^(\S+) +\d\d:\d\d:\d\d\.\d{3} (?:\S+ +)?/, "$1: "));
}

test("merges the logs of all processes by time", async () => {
  writeFileSync(path("cart"), record(1_000, "one") + record(3_000, "three"));
  writeFileSync(path("orders"), record(2_000, "two"));
  expect(await shown()).toEqual(["cart: one", "orders: two", "cart: three"]);
});

test("knows when PostgreSQL wrote a line, and takes a line without a time for as old as the one before it", async () => {
  writeFileSync(path("cart"), `${record(1_000, "one")}plain words\n${record(3_000, "three")}`);
  writeFileSync(path("postgres"), "1970-01-01 00:00:02.000 UTC [1] LOG:  two\n");
  expect(await shown()).toEqual([
    ...["cart: one", "cart: words", "postgres: 00:00:02.000 UTC [1] LOG:  two", "cart: three"],
  ]);
});

test("looks as it does in the shop's own terminal", async () => {
  writeFileSync(path("cart"), record(1_000, "failed \u001b[2Jto\nlisten", 50));
  const { text } = await runIn(undefined, ["logs", "--data", dir]);
  expect(text).toMatch(/^cart {5}\d\d:00:01\.000 ERROR failed \\x1b\[2Jto ⏎ listen\n$/);
});

test("goes back into the file that was set aside", async () => {
  writeFileSync(`${path("cart")}.1`, record(1_000, "one") + record(2_000, "two"));
  writeFileSync(path("cart"), record(3_000, "three"));
  expect(await shown()).toEqual(["cart: one", "cart: two", "cart: three"]);
  expect(await shown("--lines", "2")).toEqual(["cart: two", "cart: three"]);
});

test("shows the last lines of a log of many megabytes", async () => {
  const long = "x".repeat(1_000);
  const lines = Array.from({ length: 5_000 }, (_, index) => record(index, `${index} ${long}`));
  writeFileSync(path("cart"), lines.join(""));
  const last = await shown("-n", "300");
  expect(last.map((line) => line.split(" ")[1])).toEqual(Array.from({ length: 300 }, (_, index) => `${4_700 + index}`));
});

test("shows the lines of a level and above, and what is no log line", async () => {
  writeFileSync(
    path("cart"),
    `${record(1_000, "fine")}${record(2_000, "hm", 40)}plain words\n${record(3_000, "no", 50)}`,
  );
  expect(await shown("--level", "warn")).toEqual(["cart: hm", "cart: words", "cart: no"]);
});

test("shows the processes of a service, or one of them", async () => {
  for (const [index, name] of ["cart", "cart-2", "carts", "cart-gate"].entries()) {
    writeFileSync(path(name), record(index, name));
  }
  expect(await shown("cart")).toEqual(["cart: cart", "cart-2: cart-2"]);
  expect(await shown("cart-2")).toEqual(["cart-2: cart-2"]);
});

test("says which log was meant", async () => {
  writeFileSync(path("cart"), "");
  const { code, errors } = await runIn(undefined, ["logs", "crat", "--data", dir]);
  expect(code).toBe(2);
  expect(errors).toContain('there is no log of "crat"; did you mean cart?');
});

test("says so when there are no logs at all", async () => {
  const { code, errors } = await runIn(undefined, ["logs", "--data", join(dir, "nowhere")]);
  expect(code).toBe(1);
  expect(errors).toMatch(/^shopmesh: there are no logs in .*nowhere\/logs \(.*\); npm start makes them\n$/);
});

test.each([
  [["--level", "loud"], 'there is no level "loud"'],
  [["--lines", "many"], '--lines must be a number from 0 to 10000, not "many"'],
])("refuses %j", async (args, message) => {
  const { code, errors } = await runIn(undefined, ["logs", "--data", dir, ...args]);
  expect({ code, errors }).toMatchObject({ code: 2, errors: expect.stringContaining(message) });
});

test("follows what is written, over the change to another file, and into logs that are new", async () => {
  writeFileSync(path("cart"), `${record(1_000, "one")}{"level":30,"time":2000,`);
  const stop = new AbortController();
  const output = captureOutput();
  const ended = runCommand(["logs", "--follow", "--data", dir], {
    ...{ env: {}, output, errors: output, programsDir: new URL("file:///nowhere/"), version: "test" },
    interrupt: () => ({ signal: stop.signal, close: () => undefined }),
  });
  await output.saw("one\n");
  appendFileSync(path("cart"), `"msg":"two"}\n`);
  await output.saw("two\n");
  appendFileSync(path("cart"), record(3_000, "three"));
  renameSync(path("cart"), `${path("cart")}.1`);
  writeFileSync(path("cart"), record(4_000, "four"));
  writeFileSync(path("orders"), record(5_000, "five"));
  await output.saw("four\n");
  await output.saw("five\n");
  stop.abort();
  expect(await ended).toBe(0);
  expect(messages(output.text())).toEqual(["cart: one", "cart: two", "cart: three", "cart: four", "orders: five"]);
});
