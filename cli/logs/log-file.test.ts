import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openLogFile } from "./log-file.ts";

let dir: string;
let path: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "shopmesh-log-"));
  path = join(dir, "cart.log");
});

afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const onError = (error: unknown): never => {
  throw error;
};

test("goes on where an earlier run stopped, for its owner's eyes only", () => {
  for (const text of ["one\n", "two\n"]) {
    const file = openLogFile(path, { onError });
    file.append(text);
    file.close();
  }
  expect(readFileSync(path, "utf8")).toBe("one\ntwo\n");
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("keeps one old file, and never grows beyond the bound", () => {
  const file = openLogFile(path, { maxBytes: 100, onError });
  for (let number = 0; number < 50; number++) file.append(`line ${number}\n`);
  file.close();
  const [old, current] = [readFileSync(`${path}.1`, "utf8"), readFileSync(path, "utf8")];
  expect(Math.max(old.length, current.length)).toBeLessThanOrEqual(100);
  expect(`${old}${current}`).toMatch(/^line \d+\n/);
  expect(current.endsWith("line 49\n")).toBe(true);
  expect(existsSync(`${path}.2`)).toBe(false);
  const numbers = [...`${old}${current}`.matchAll(/line (\d+)/g)].map((match) => Number(match[1]));
  expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, index) => 50 - numbers.length + index));
});

test("goes on when a disk that failed takes lines again, and says how many were lost", () => {
  const errors: unknown[] = [];
  let nowMs = 0;
  const file = openLogFile(path, { maxBytes: 10, onError: (error) => errors.push(error), nowMs: () => nowMs });
  file.append("012345678\n");
  rmSync(dir, { recursive: true });
  file.append("lost\n");
  file.append("lost\nlost\n");
  mkdirSync(dir);
  nowMs = 999;
  file.append("lost\n");
  nowMs = 1_000;
  file.append("found\n");
  file.append("again\n");
  expect(readFileSync(`${path}.1`, "utf8")).toMatch(/^shopmesh: 4 lines could not be written here: ENOENT.*\nfound\n$/);
  expect(readFileSync(path, "utf8")).toBe("again\n");
  expect(errors).toHaveLength(1);
  rmSync(dir, { recursive: true });
  file.append("lost\n");
  expect(errors).toHaveLength(2);
  mkdirSync(dir);
  file.close();
  expect(readFileSync(path, "utf8")).toContain("1 lines could not be written here");
});
