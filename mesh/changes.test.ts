import { pino } from "pino";
import { afterEach, describe, expect, test } from "vitest";
import { type Changes, MAX_WATCHED, MAX_WATCHES, startChanges, type Versioned } from "./changes.ts";

const log = pino({ level: "silent" });
const forever = new AbortController().signal;
const never = 3_600_000;

/** A table of things, and how it was read. */
function table() {
  const rows = new Map<string, number>();
  const reads: (readonly Versioned[])[] = [];
  return {
    rows,
    reads,
    read: async (known: readonly Versioned[]) => {
      reads.push(known);
      return known.flatMap(({ id, version }) => {
        const now = rows.get(id) ?? 0;
        return now > version ? [{ id, version: now }] : [];
      });
    },
  };
}

let changes: Changes<Versioned> | undefined;
afterEach(() => changes?.close());

function start(read: (known: readonly Versioned[]) => Promise<readonly Versioned[]>, intervalMs = never) {
  changes = startChanges({ name: "things", read, log, intervalMs });
  return changes;
}

describe("a watch of several things", () => {
  test("is told of each in turn, so that one that changes all the time does not hide the others", async () => {
    const { publish, watchAll } = start(table().read);
    const watch = watchAll(["a", "b", "c"]);
    const known = new Map<string, number>();
    const told: string[] = [];
    publish({ id: "b", version: 1 });
    publish({ id: "c", version: 1 });
    for (let version = 1; version <= 4; version += 1) {
      publish({ id: "a", version });
      const next = await watch.next(known, forever);
      if (next === undefined) expect.fail("it ended");
      known.set(next.id, next.version);
      told.push(next.id);
    }
    expect(told.toSorted()).toEqual(["a", "a", "b", "c"]);
  });

  test("that reads nothing while thousands of changes happen finds each thing once, as it is by then", async () => {
    const { publish, watchAll } = start(table().read);
    const [slow, quick] = [watchAll(["a", "b"]), watchAll(["a"])];
    let seen = 0;
    for (let version = 1; version <= 10_000; version += 1) {
      publish({ id: "a", version });
      publish({ id: "b", version });
      seen = (await quick.next(new Map([["a", seen]]), forever))?.version ?? 0;
      expect(seen).toBe(version);
    }
    const known = new Map<string, number>();
    for (let n = 0; n < 2; n += 1) {
      const next = await slow.next(known, forever);
      if (next !== undefined) known.set(next.id, next.version);
    }
    expect(known).toEqual(new Map(["b", "a"].map((id) => [id, 10_000])));
    const leaving = AbortSignal.abort();
    expect(await slow.next(known, leaving)).toBeUndefined();
  });
});

describe("the database", () => {
  test("is read once for all who wait, for what they wait, and not at all when nobody does", async () => {
    const { rows, reads, read } = table();
    const { watch, watchAll, changed } = start(read, 1);
    const [a, both] = [watch("a"), watchAll(["a", "b"])];
    changed(["a", "nobody watches this"]);
    await expect.poll(() => reads).toEqual([[{ id: "a", version: 0 }]]);
    const waits = [a.next(3, forever), both.next(new Map([["a", 2]]), forever)];
    await expect
      .poll(() => reads.at(-1))
      .toEqual([
        { id: "a", version: 2 },
        { id: "b", version: 0 },
      ]);
    rows.set("a", 4);
    expect(await Promise.all(waits)).toEqual([
      { id: "a", version: 4 },
      { id: "a", version: 4 },
    ]);
    // Nobody waits any more, while a reader with the same interval goes on looking.
    const before = reads.length;
    const other = table();
    const others = startChanges({ name: "others", read: other.read, log, intervalMs: 1 });
    const waiting = others.watch("x").next(0, forever);
    await expect.poll(() => other.reads.length).toBeGreaterThan(10);
    expect(reads.length).toBe(before);
    await others.close();
    expect(await waiting).toBeUndefined();
  });

  test("is asked at once for what this process says has changed, one reading at a time", async () => {
    const { rows, read } = table();
    const started: (() => void)[] = [];
    const { watch, changed } = start(async (known) => {
      await new Promise<void>((go) => started.push(go));
      return read(known);
    });
    const seen = watch("a").next(0, forever);
    rows.set("a", 1);
    changed(["a"]);
    changed(["a"]);
    await expect.poll(() => started).toHaveLength(1);
    started[0]?.();
    expect(await seen).toEqual({ id: "a", version: 1 });
    // What was said during the first reading is seen by the next.
    await expect.poll(() => started).toHaveLength(2);
    started[1]?.();
  });

  test("that cannot be read once is read again", async () => {
    const { rows, read } = table();
    let failures = 2;
    const { watch, changed } = start((known) => {
      failures -= 1;
      return failures >= 0 ? Promise.reject(new Error("planned")) : read(known);
    }, 1);
    const seen = watch("a").next(0, forever);
    rows.set("a", 1);
    changed(["a"]);
    expect(await seen).toEqual({ id: "a", version: 1 });
  });
});

test("what is watched is bounded, and free again when it is left, as often as that is said", () => {
  const { watch, watchAll } = start(table().read);
  const refused = expect.objectContaining({ reason: "OVERLOADED" });
  const many = watchAll(Array.from({ length: MAX_WATCHED }, (_, n) => `${n}`));
  expect(() => watch("one more")).toThrow(refused);
  const others = Array.from({ length: MAX_WATCHES - 1 }, () => watch("1"));
  expect(() => watch("1")).toThrow(refused);
  others[0]?.close();
  others[0]?.close();
  watch("1");
  expect(() => watch("1")).toThrow(refused);
  many.close();
  watch("one more");
  expect(() => watch("1")).toThrow(refused);
});
