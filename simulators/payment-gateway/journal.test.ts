import { appendFile, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openJournal } from "./journal.ts";
import { temporaryFolder } from "./testing.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let path: string;
beforeEach(async () => {
  folder = await temporaryFolder();
  path = join(folder.path, "new", "journal");
});
afterEach(() => folder.remove());

/** Opens the journal, lists what is in it, and closes it again. */
async function reopen(): Promise<{ entries: string[]; tornBytes: number }> {
  const entries: string[] = [];
  const { journal, tornBytes } = await openJournal(path, (text) => entries.push(text));
  await journal.close();
  return { entries, tornBytes };
}

async function write(...entries: string[]): Promise<void> {
  const { journal } = await openJournal(path, () => undefined);
  for (const entry of entries) journal.append(entry);
  await journal.close();
}

describe("a journal", () => {
  it("gives back all entries in order, over several openings", async () => {
    await write("one", "zwei – mit Umlaut ü");
    await write("three");
    expect(await reopen()).toEqual({ entries: ["one", "zwei – mit Umlaut ü", "three"], tornBytes: 0 });
  });

  it("reports positions at which entries can be read, before and after they are on the disk", async () => {
    await write("one", "x".repeat(5_000), "three");
    const positions: number[] = [];
    const { journal } = await openJournal(path, (_, position) => positions.push(position));
    const fresh = journal.append("four");
    expect(journal.read(fresh)).toBe("four");
    await journal.flushed();
    const texts = [...positions, fresh].map((position) => journal.read(position));
    await journal.close();
    expect(texts).toEqual(["one", "x".repeat(5_000), "three", "four"]);
  });

  it("keeps entries that are longer than a chunk of the scan in all", async () => {
    const entries = Array.from({ length: 100 }, (_, index) => `${index}:${"x".repeat(40_000)}`);
    await write(...entries);
    expect((await reopen()).entries).toEqual(entries);
  });

  it("drops a last entry that was cut off anywhere, and goes on after the one before", async () => {
    await write("one", "two");
    const whole = await readFile(path);
    const start = whole.lastIndexOf("\n", whole.length - 2) + 1;
    for (let length = start; length < whole.length; length++) {
      await writeFile(path, whole.subarray(0, length));
      expect(await reopen()).toEqual({ entries: ["one"], tornBytes: length - start });
      await write("another two");
      expect((await reopen()).entries).toEqual(["one", "another two"]);
    }
  });

  it("starts anew when its very first line was cut off", async () => {
    await write();
    const { length } = await readFile(path);
    for (const size of [0, 1, 20, length - 1]) {
      await truncate(path, size);
      await write("one");
      expect((await reopen()).entries).toEqual(["one"]);
    }
  });

  it("drops a last line whose bytes are not those written", async () => {
    await write("one", "two");
    const whole = await readFile(path, "utf8");
    await writeFile(path, whole.replace("two", "tvo"));
    expect((await reopen()).entries).toEqual(["one"]);
  });

  it("refuses a file that is damaged before its end, and leaves it alone", async () => {
    await write("one", "two");
    const damaged = (await readFile(path, "utf8")).replace("one", "one!");
    await writeFile(path, damaged);
    await expect(reopen()).rejects.toThrow(/damaged at byte/);
    expect(await readFile(path, "utf8")).toBe(damaged);
  });

  it.each(["somebody's notes", "somebody's notes\n", "a\nb\n"])(
    "refuses a file that is no journal: %j",
    async (text) => {
      await write();
      await writeFile(path, text);
      await expect(reopen()).rejects.toThrow();
      expect(await readFile(path, "utf8")).toBe(text);
    },
  );

  it("fails for ever once another process has written to its file", async () => {
    const { journal } = await openJournal(path, () => undefined);
    await appendFile(path, "x");
    journal.append("one");
    await expect(journal.flushed()).rejects.toThrow();
    expect(() => journal.append("two")).toThrow();
    await expect(journal.flushed()).rejects.toThrow();
    await expect(journal.close()).rejects.toThrow();
  });

  it("refuses entries that it could not read back", async () => {
    const { journal } = await openJournal(path, () => undefined);
    expect(() => journal.append("two\nlines")).toThrow();
    expect(() => journal.append("x".repeat(70_000))).toThrow();
    await journal.close();
    expect((await reopen()).entries).toEqual([]);
  });
});
