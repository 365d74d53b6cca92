import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { apply, compare } from "./generation.ts";

let folder: string;
let fresh: string;
let standing: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "shopmesh-generation-"));
  fresh = join(folder, "fresh");
  standing = join(folder, "standing");
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

test("names what is missing, changed and stale, and nothing else", async () => {
  await write(fresh, { "a/same.ts": "1", "a/changed.ts": "new", "b/missing.ts": "1" });
  await write(standing, { "a/same.ts": "1", "a/changed.ts": "old", "c/d/stale.ts": "1" });
  expect(await compare(fresh, standing)).toEqual([
    { path: "a/changed.ts", kind: "changed" },
    { path: "b/missing.ts", kind: "missing" },
    { path: "c/d/stale.ts", kind: "stale" },
  ]);
});

test("makes the standing folder equal, and removes folders that became empty", async () => {
  await write(fresh, { "a/changed.ts": "new", "b/missing.ts": "1" });
  await write(standing, { "a/changed.ts": "old", "c/d/stale.ts": "1" });
  await apply(await compare(fresh, standing), fresh, standing);
  expect(await compare(fresh, standing)).toEqual([]);
  expect(await readFile(join(standing, "a/changed.ts"), "utf8")).toBe("new");
  expect((await readdir(standing)).toSorted()).toEqual(["a", "b"]);
});

test("takes a standing folder that does not exist as empty", async () => {
  await write(fresh, { "a.ts": "1" });
  const differences = await compare(fresh, standing);
  expect(differences).toEqual([{ path: "a.ts", kind: "missing" }]);
  await apply(differences, fresh, standing);
  expect(await compare(fresh, standing)).toEqual([]);
});

async function write(root: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
}
