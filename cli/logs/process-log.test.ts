import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { captureOutput, terminalTo } from "../testing/programs.ts";
import { openLogFile } from "./log-file.ts";
import { createProcessLog, type ProcessLog } from "./process-log.ts";

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "shopmesh-process-log-"));
});

afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const info = '{"level":30,"time":1767225600000,"msg":"call","code":"OK"}';
const warning = '{"level":40,"time":1767225600000,"msg":"slow"}';
const failure = '{"level":50,"time":1767225600000,"msg":"call","err":{"message":"broken"}}';

test("shows warnings, errors and what is no log line, and keeps all of it in the file", () => {
  const { log, output, file } = open({ verbose: false });
  log.stdout(Buffer.from(`${info}\n${warning}\nplain words\n`));
  log.stderr(Buffer.from(`${failure}\nlast words`));
  log.end();
  expect(withoutTimes(output())).toEqual([
    "probe    WARN  slow",
    "probe    plain words",
    "probe    ERROR call  err=broken",
    "probe    last words",
  ]);
  expect(file()).toBe(`${info}\n${warning}\nplain words\n${failure}\nlast words\n`);
});

test("shows everything when verbose", () => {
  const { log, output } = open({ verbose: true });
  log.stdout(Buffer.from(`${info}\n`));
  expect(withoutTimes(output())).toEqual(["probe    info  call  code=OK"]);
});

test("remembers the last errors of one life", () => {
  const { log } = open({ verbose: false });
  log.stderr(Buffer.from("from the life before\n"));
  log.begin();
  log.stdout(Buffer.from(`${warning}\nnot an error\n${failure}\n`));
  log.stderr(Buffer.from("TypeError: x is not a function\n"));
  expect(log.lastErrors()).toEqual(["ERROR call  err=broken", "TypeError: x is not a function"]);
});

function open({ verbose }: { readonly verbose: boolean }): {
  readonly log: ProcessLog;
  readonly output: () => string;
  readonly file: () => string;
} {
  const output = captureOutput();
  const path = join(dir, "probe.log");
  const file = openLogFile(path, {
    onError: (error) => {
      throw error;
    },
  });
  const log = createProcessLog({ name: "probe", file, terminal: terminalTo(output, { verbose }) });
  return { log, output: output.text, file: () => readFileSync(path, "utf8") };
}

function withoutTimes(text: string): readonly string[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/\d\d:\d\d:\d\d\.\d{3} /, ""));
}
