import { mkdirSync, readdirSync, readFileSync, realpathSync, truncateSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "#mesh/clock.ts";
import { fakeClock } from "#testing/clock.ts";
import { type BuiltFolder, builtFolder } from "../testing/built-folder.ts";
import { createReleaseStore, type Release, type ReleaseStore } from "./store.ts";

let built: BuiltFolder;
let dir: string;
let store: ReleaseStore;

beforeEach(() => {
  built = builtFolder();
  dir = join(built.dir, "releases");
  store = createReleaseStore({ dir, programsDir: built.dir, clock: systemClock });
});

afterEach(() => built.remove());

async function take(version = "", programsDir = ""): Promise<Release> {
  const taken = await store.take("cart", { version, programsDir });
  return taken.ok ? taken.value : expect.fail(taken.error);
}

async function refusal(version: string, programsDir = ""): Promise<string | undefined> {
  const taken = await store.take("cart", { version, programsDir });
  return taken.ok ? undefined : taken.error;
}

test("keeps a program as it was, with its migrations, whatever is built later", async () => {
  built.write("cart", "first");
  const first = await take();
  built.write("cart", "second");
  const second = await take();
  expect(first.version).toMatch(/^[0-9a-f]{12}$/);
  expect(second.version).not.toBe(first.version);
  expect(readFileSync(first.file, "utf8")).toBe("first");
  expect(readFileSync(join(first.file, "../migrations/0001_init.sql"), "utf8")).toBe("select 1;");
  expect(await take(first.version)).toEqual(first);
});

test("keeps what a program loads from elsewhere, and finds packages where the build did", async () => {
  mkdirSync(join(built.dir, "node_modules"));
  mkdirSync(join(built.dir, "mesh"));
  writeFileSync(join(built.dir, "mesh", "part.js"), "part");
  mkdirSync(join(built.dir, "gen"));
  writeFileSync(join(built.dir, "gen", "descriptors.binpb"), "descriptors");
  const loads = `await import("../../mesh/part.js"); require.resolve("#gen/descriptors.binpb");`;
  built.write("cart", `${loads} new URL("./migrations/", import.meta.url);`);
  const { file } = await take();
  const root = join(file, "../../..");
  expect(readFileSync(join(root, "mesh", "part.js"), "utf8")).toBe("part");
  expect(realpathSync(join(root, "node_modules"))).toBe(realpathSync(join(built.dir, "node_modules")));
  expect(createRequire(file).resolve("#gen/descriptors.binpb")).toBe(join(root, "gen", "descriptors.binpb"));
  expect(readFileSync(join(root, "gen", "descriptors.binpb"), "utf8")).toBe("descriptors");
});

test("gives a build the name that is asked for, and no other build the same name", async () => {
  built.write("cart", "first");
  expect((await take("v1")).version).toBe("v1");
  expect((await take("v1-again")).version).toBe("v1-again");
  built.write("cart", "second");
  expect(readFileSync((await take("v1")).file, "utf8")).toBe("first");
  expect(await refusal("v1", built.dir)).toBe("v1 is another build already");
});

test("takes a name of the form of a build's own for that build alone", async () => {
  built.write("cart", "first");
  const { version } = await take();
  expect((await take(version, built.dir)).version).toBe(version);
  expect(await refusal("0123456789ab")).toBe("no build 0123456789ab of cart is kept");
});

test("says where there is no program", async () => {
  expect(await refusal("", "/nonexistent")).toBe("there is no program of cart in /nonexistent");
});

test("refuses programs that were moved away from what they need", async () => {
  built.write("cart", `require.resolve("#gen/descriptors.binpb");`);
  const why = `${built.dir} stands in no checkout: gen/descriptors.binpb is not beside it, and cart needs it`;
  expect(await refusal("", built.dir)).toBe(why);
});

test("writes a copy that was cut short anew", async () => {
  built.write("cart", "whole");
  const { file } = await take();
  truncateSync(file, 2);
  expect(readFileSync((await take()).file, "utf8")).toBe("whole");
});

test("two who take the same build at once get the same", async () => {
  built.write("cart", "same");
  const taken = await Promise.all(Array.from({ length: 5 }, () => take()));
  expect(new Set(taken.map(({ file }) => file)).size).toBe(1);
  expect(readFileSync(taken[0]?.file ?? "", "utf8")).toBe("same");
  expect(readdirSync(join(dir, "cart"))).toHaveLength(1);
});

test("keeps the five newest and those in use, and nothing half-written", async () => {
  const versions: string[] = [];
  const clock = fakeClock();
  store = createReleaseStore({ dir, programsDir: built.dir, clock });
  for (let build = 1; build <= 8; build++) {
    clock.advance(1_000);
    built.write("cart", `build ${build}`);
    versions.push((await take()).version);
  }
  mkdirSync(join(dir, "cart", ".new-left-behind"));
  await store.prune("cart", new Set(versions.slice(0, 1)));
  const kept = [...versions.slice(0, 1), ...versions.slice(3)];
  expect(readdirSync(join(dir, "cart")).toSorted()).toEqual(kept.toSorted());
});
