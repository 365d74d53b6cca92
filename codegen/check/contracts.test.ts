import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { chooseBase } from "./base.ts";
import { runCommand } from "./command.ts";
import { checkBreaking, checkProtoFormat, lintContracts } from "./contracts.ts";

// Each runs git or buf a dozen times; on a busy machine that takes a while.
const PROCESSES = { timeout: 60_000 };
const config = "version: v2\nmodules:\n  - path: proto\nlint:\n  use: [STANDARD]\nbreaking:\n  use: [FILE]\n";
const good = `syntax = "proto3";\n\npackage tea.v1;\n\nmessage Cup {\n  string leaf = 1;\n}\n`;
const broken = good.replace("string leaf = 1", "string leaf = 2");

let root: string;

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "shopmesh-check-")));
});

afterEach(async () => {
  await rm(root, { recursive: true });
});

describe("the base of the comparison", PROCESSES, () => {
  test("none without a repository, without a commit, and at the first commit", async () => {
    expect(await chooseBase(root)).toEqual({ commit: undefined, why: "there is no commit here" });
    await init();
    expect(await chooseBase(root)).toEqual({ commit: undefined, why: "there is no commit here" });
    await commit({ "buf.yaml": config, "proto/tea/v1/cup.proto": good });
    const { commit: found, why } = await chooseBase(root);
    expect(found).toBeUndefined();
    expect(why).toBe("the commit before this one is not in this clone");
  });

  test("on main: the commit before, or the last one while the contracts have changes", async () => {
    await init();
    const first = await commit({ "buf.yaml": config, "proto/tea/v1/cup.proto": good });
    const second = await commit({ "README.md": "tea" });
    expect(await chooseBase(root)).toMatchObject({ commit: first, why: expect.stringContaining("the commit before") });
    await write({ "README.md": "more tea" });
    expect((await chooseBase(root)).commit).toBe(first);
    await write({ "proto/tea/v1/pot.proto": good });
    expect(await chooseBase(root)).toMatchObject({ commit: second, why: expect.stringContaining("the last commit") });
  });

  test("on a branch: where it left main, however many commits ago", async () => {
    await init();
    await commit({ "buf.yaml": config, "proto/tea/v1/cup.proto": good });
    const fork = await commit({ "README.md": "tea" });
    await git("checkout", "-q", "-b", "work");
    await commit({ "README.md": "1" });
    await commit({ "README.md": "2" });
    expect(await chooseBase(root)).toMatchObject({ commit: fork, why: expect.stringContaining("left main") });
  });

  test("after a release: the last one that HEAD descends from", async () => {
    await init();
    const release = await commit({ "buf.yaml": config, "proto/tea/v1/cup.proto": good });
    await git("tag", "-a", "v1.2.0", "-m", "v1.2.0");
    await commit({ "README.md": "1" });
    await commit({ "README.md": "2" });
    await git("tag", "nightly");
    expect(await chooseBase(root)).toMatchObject({ commit: release, why: expect.stringContaining("release v1.2.0") });
  });

  test("none when that commit has no contracts yet", async () => {
    await init();
    await commit({ "README.md": "tea" });
    await commit({ "buf.yaml": config, "proto/tea/v1/cup.proto": good });
    const base = await chooseBase(root);
    expect(base.commit).toBeUndefined();
    expect(base.why).toMatch(/^the commit before \([0-9a-f]+\) has no contracts$/);
  });

  test("none in a clone that holds nothing but the last commit", async () => {
    await init();
    await commit({ "buf.yaml": config, "proto/tea/v1/cup.proto": good });
    await commit({ "README.md": "tea" });
    const clone = join(root, "clone");
    await git("clone", "-q", "--depth", "1", "--single-branch", `file://${root}`, clone);
    expect(await chooseBase(clone)).toMatchObject({
      commit: undefined,
      why: expect.stringContaining("not in this clone"),
    });
    expect(await checkBreaking(clone)).toMatch(/^nothing to compare with/);
  });
});

describe("breaking changes", PROCESSES, () => {
  test("are found, and additions are not", async () => {
    await init();
    await commit({ "buf.yaml": config, "proto/tea/v1/cup.proto": good });
    await commit({ "proto/tea/v1/cup.proto": good.replace("}", "  string sugar = 2;\n}") });
    expect(await checkBreaking(root)).toMatch(/^compared with the commit before/);
    await write({ "proto/tea/v1/cup.proto": broken });
    await expect(checkBreaking(root)).rejects.toThrow(/"1" with name "leaf" on message "Cup" was deleted/);
  });

  test("a module that is new does not get in the way", async () => {
    await init();
    await commit({ "buf.yaml": config, "proto/tea/v1/cup.proto": good });
    const two = config.replace("- path: proto\n", "- path: proto\n  - path: proto-external\n");
    await commit({ "buf.yaml": two, "proto-external/milk/v1/milk.proto": good.replace("tea.v1", "milk.v1") });
    expect(await checkBreaking(root)).toMatch(/^compared with the commit before/);
  });
});

describe("style", PROCESSES, () => {
  test("of good contracts holds", async () => {
    await write({ "buf.yaml": config, "proto/tea/v1/cup.proto": good });
    expect(await lintContracts(root)).toBe("1 protos");
    expect(await checkProtoFormat(root)).toBe("1 protos");
  });

  test("of bad ones does not", async () => {
    await write({ "buf.yaml": config, "proto/tea/v1/cup.proto": good.replace("leaf", "Leaf").replace("  s", "s") });
    await expect(lintContracts(root)).rejects.toThrow("should be lower_snake_case");
    await expect(checkProtoFormat(root)).rejects.toThrow("+  string Leaf = 1;");
  });

  test("of none fails", async () => {
    await write({ "buf.yaml": config, "proto/README.md": "" });
    await expect(lintContracts(root)).rejects.toThrow();
    await expect(checkProtoFormat(root)).rejects.toThrow();
  });
});

async function init(): Promise<void> {
  await git("init", "-q", "-b", "main");
  await git("config", "user.name", "Tester");
  await git("config", "user.email", "tester@shop.example");
  await git("config", "commit.gpgsign", "false");
}

async function commit(files: Readonly<Record<string, string>>): Promise<string> {
  await write(files);
  await git("add", ".");
  await git("commit", "-q", "-m", "change");
  return (await runCommand(root, "git", ["rev-parse", "HEAD"])).trim();
}

async function git(...args: readonly string[]): Promise<void> {
  await runCommand(root, "git", args);
}

async function write(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
}
