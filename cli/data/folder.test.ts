import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { dataFolder, prepareDataFolder } from "./folder.ts";

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "shopmesh-folder-"));
});

afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

test("makes the folder with all above it", () => {
  const folder = dataFolder(join(dir, "a", "b"));
  prepareDataFolder(folder);
  expect(statSync(folder.logsDir).isDirectory()).toBe(true);
  prepareDataFolder(folder);
});

test("says in one line that a file is in the way", () => {
  writeFileSync(join(dir, "file"), "");
  expect(() => prepareDataFolder(dataFolder(join(dir, "file")))).toThrow(
    `data folder ${join(dir, "file")} can't be written (a file of that name is in the way); ` +
      "choose another with SHOPMESH_DATA=…",
  );
  expect(() => prepareDataFolder(dataFolder(join(dir, "file", "below")))).toThrow(/\(part of the path is a file\)/);
});

// Nothing is forbidden to root.
test.skipIf(process.getuid?.() === 0)("says in one line that writing is not allowed", () => {
  const closed = join(dir, "closed");
  mkdirSync(closed);
  chmodSync(closed, 0o500);
  expect(() => prepareDataFolder(dataFolder(closed))).toThrow(/closed can't be written \(permission denied\); choose/);
  expect(() => prepareDataFolder(dataFolder(join(closed, "below")))).toThrow(/\(permission denied\)/);
});
