import { fork } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { removeFolder, temporaryFolder } from "#testing/folders.ts";
import { startControl } from "../testing/control.ts";
import { takeFolder } from "./folder.ts";
import { keepState } from "./kept-state.ts";
import { type StateFile, stateFile } from "./state-file.ts";

let dir: string;

beforeEach(async () => {
  dir = await temporaryFolder();
});
afterEach(() => removeFolder(dir));

const numberFile = (): StateFile<number> =>
  stateFile({
    path: join(dir, "number.json"),
    fromJson: (fields) => fields.whole("number"),
    toJson: (number) => ({ number }),
    without: "then it begins at nothing",
  });

describe("a state file", () => {
  test("is read as it was written, by its owner alone", async () => {
    const file = numberFile();
    expect(await file.read()).toBe(undefined);
    await file.write(7);
    await file.write(8);
    expect(await file.read()).toBe(8);
    expect((await stat(join(dir, "number.json"))).mode & 0o777).toBe(0o600);
    expect(await readdir(dir)).toEqual(["number.json"]);
  });

  test.each([
    ["half of it", '{"number": '],
    ["nothing", ""],
    ["another kind of thing", '["number"]'],
    ["another kind of member", '{"number": "7"}'],
    ["no such member", "{}"],
  ])("with %s in it is an error that names it and says what to do", async (_, text) => {
    await writeFile(join(dir, "number.json"), text);
    await expect(numberFile().read()).rejects.toThrow(
      /number\.json cannot be read \(.+\); put back a copy of it, or move it away: then it begins at nothing$/,
    );
  });
});

describe("a kept state", () => {
  const failure = new Error("no space left on device");
  let isFull: boolean;
  let written: number[];
  const counter = (delay: () => Promise<void> = async () => {}) =>
    keepState(
      {
        write: async (value: number) => {
          await delay();
          if (isFull) throw failure;
          written.push(value);
        },
      },
      0,
      () => new Error("overloaded"),
    );
  const add = (value: number) => ({ next: value + 1, result: value + 1 });

  beforeEach(() => {
    isFull = false;
    written = [];
  });

  test("takes one step at a time, however many come at once", async () => {
    const state = counter(() => new Promise((resolve) => setImmediate(resolve)));
    const results = await Promise.all(Array.from({ length: 50 }, () => state.change(add)));
    expect(results).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
    expect(written).toEqual(results);
  });

  test("is as before when the disk does not take it, and goes on when it does again", async () => {
    const state = counter();
    await state.change(add);
    isFull = true;
    await expect(state.change(add)).rejects.toBe(failure);
    expect(state.value).toBe(1);
    isFull = false;
    expect(await state.change(add)).toBe(2);
    expect(written).toEqual([1, 2]);
  });

  test("writes nothing for a step that changes nothing", async () => {
    const state = counter();
    await state.change((value) => ({ next: value, result: undefined }));
    expect(written).toEqual([]);
  });

  test("turns away more steps than can wait", async () => {
    let go = (): void => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const state = counter(() => gate);
    const waiting = Array.from({ length: 1_000 }, () => state.change(add));
    await expect(state.change(add)).rejects.toThrow("overloaded");
    go();
    await Promise.all(waiting);
  });
});

test("a file that is written without end is whole whenever its writer is killed", async () => {
  const writer = new URL("testdata/endless-writer.ts", import.meta.url);
  for (let kill = 0; kill < 5; kill += 1) {
    const child = fork(writer, [join(dir, "number.json")], { execArgv: ["--import", "tsx"] });
    // As many writes as make it likely that the kill meets one.
    for (let writes = 0; writes < 20 + kill; writes += 1) await once(child, "message");
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(await numberFile().read()).toBeGreaterThan(0);
  }
  await (await takeFolder(dir)).release();
  expect(await readdir(dir)).toEqual(["number.json"]);
});

describe("the folder of a control plane", () => {
  test("is held by one at a time", async () => {
    const first = await startControl({ dataDir: dir });
    await expect(startControl({ dataDir: dir })).rejects.toThrow(/another control plane runs on/);
    await first.close();
    await (await startControl({ dataDir: dir })).close();
  });

  test("is held by a socket in the folder itself, where no other user can be first", async () => {
    const path = join(dir, "control");
    const folder = await takeFolder(path);
    const [holder = ""] = await readdir(path);
    expect((await stat(join(path, holder))).isSocket()).toBe(true);
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    await folder.release();
    expect(await readdir(path)).toEqual([]);
  });

  test("is held by its process until that is gone, also while it stands still", async () => {
    const holder = fork(new URL("testdata/folder-holder.ts", import.meta.url), [dir], {
      execArgv: ["--import", "tsx"],
    });
    expect(await once(holder, "message").then(([outcome]) => outcome)).toBe("held");
    holder.kill("SIGSTOP");
    await expect(takeFolder(dir)).rejects.toThrow(/another control plane runs on/);
    holder.kill("SIGKILL");
    await once(holder, "exit");
    expect(await readdir(dir)).toHaveLength(1);
    const folder = await takeFolder(dir);
    expect(await readdir(dir)).toHaveLength(1);
    await folder.release();
  });

  test("is held by one of several that start at once, over what one left that was killed", async () => {
    for (let round = 0; round < 5; round += 1) {
      const dead = createServer().listen(join(dir, "dead"));
      await once(dead, "listening");
      await rename(join(dir, "dead"), join(dir, "0123456789abcdef.holder"));
      await new Promise((resolve) => dead.close(resolve));
      const taken = await Promise.allSettled([takeFolder(dir), takeFolder(dir), takeFolder(dir)]);
      const held = taken.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
      expect(held).toHaveLength(1);
      expect(await readdir(dir)).toHaveLength(1);
      await held[0]?.release();
    }
  });

  test("may have a name that is too long for a socket", { skip: process.platform !== "linux" }, async () => {
    const path = join(dir, "a".repeat(120), "control");
    const folder = await takeFolder(path);
    await expect(takeFolder(path)).rejects.toThrow(/another control plane runs on/);
    await folder.release();
  });

  test("is not taken with a broken file in it, and is free again then", async () => {
    await (await startControl({ dataDir: dir })).close();
    const path = join(dir, "authority.json");
    const whole = await readFile(path, "utf8");
    await writeFile(path, whole.slice(0, 100));
    await expect(startControl({ dataDir: dir })).rejects.toThrow(/authority\.json cannot be read/);
    await writeFile(path, whole);
    await (await startControl({ dataDir: dir })).close();
  });

  test("never gets another authority because its own is missing", async () => {
    await (await startControl({ dataDir: dir })).close();
    await removeFolder(join(dir, "authority.json"));
    await expect(startControl({ dataDir: dir })).rejects.toThrow(/has no authority\.json any more; put back a copy/);
  });
});
