import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createLineOutput, fileSink, type Sink } from "./line-output.ts";

/** A sink whose reader takes what the test lets it take. */
function slowSink() {
  type Done = Parameters<Sink["write"]>[1];
  const received: string[] = [];
  let pending: { readonly bytes: Uint8Array; readonly done: Done } | undefined;
  const sink: Sink = {
    write(bytes, done) {
      pending = { bytes, done };
    },
    writeSync(bytes) {
      received.push(Buffer.from(bytes).toString());
      return bytes.length;
    },
  };
  return {
    sink,
    received,
    isWaiting: () => pending !== undefined,
    take(count?: number) {
      const { bytes, done } = pending ?? { bytes: new Uint8Array(), done: () => {} };
      pending = undefined;
      received.push(Buffer.from(bytes.subarray(0, count)).toString());
      done(null, count ?? bytes.length);
    },
    fail(code: string) {
      const done = pending?.done;
      pending = undefined;
      done?.(Object.assign(new Error(code), { code }), 0);
    },
  };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("writes lines together, after a tenth of a second at the latest", () => {
  const slow = slowSink();
  const output = createLineOutput(slow.sink);
  output.write("one\n");
  vi.advanceTimersByTime(99);
  output.write("two\n");
  expect(slow.isWaiting()).toBe(false);
  vi.advanceTimersByTime(1);
  slow.take();
  expect(slow.received).toEqual(["one\ntwo\n"]);
});

test("writes at once when there is much to write", () => {
  const slow = slowSink();
  const output = createLineOutput(slow.sink);
  for (let i = 0; i < 300; i++) output.write(`${"x".repeat(300)}\n`);
  expect(slow.isWaiting()).toBe(true);
});

test("goes on where the reader stopped, and tries a full pipe again", () => {
  const slow = slowSink();
  const output = createLineOutput(slow.sink);
  output.write("some line\n");
  vi.advanceTimersByTime(100);
  slow.take(4);
  slow.fail("EAGAIN");
  expect(slow.isWaiting()).toBe(false);
  vi.advanceTimersByTime(10);
  slow.take();
  expect(slow.received.join("")).toBe("some line\n");
});

test("keeps 8 MiB for a reader that stops, drops what is more, and says how many lines that were", () => {
  const slow = slowSink();
  const output = createLineOutput(slow.sink);
  const line = `${"x".repeat(1_023)}\n`;
  const written = 20_000;
  for (let i = 0; i < written; i++) output.write(line);
  while (slow.isWaiting()) slow.take();
  vi.advanceTimersByTime(100);
  while (slow.isWaiting()) slow.take();
  const lines = slow.received.join("").trim().split("\n");
  const told = lines.find((text) => text.includes("dropped"));
  const { dropped } = JSON.parse(told ?? "{}");
  expect(dropped).toBeGreaterThan(5_000);
  expect(lines.length - 1 + dropped).toBe(written);
});

test("keeps few large chunks, not many small ones, for a reader that takes long", () => {
  const slow = slowSink();
  const output = createLineOutput(slow.sink);
  for (let i = 0; i < 1_000; i++) {
    output.write(`line ${i}\n`);
    vi.advanceTimersByTime(100);
  }
  slow.take();
  vi.advanceTimersByTime(100);
  slow.take();
  expect(slow.isWaiting()).toBe(false);
  expect(slow.received.join("").trim().split("\n")).toHaveLength(1_000);
});

test("goes on when a full disk has room again, and says how many lines it cost", () => {
  const slow = slowSink();
  const output = createLineOutput(slow.sink);
  for (const line of ["one", "two"]) output.write(`${line}\n`);
  vi.advanceTimersByTime(100);
  slow.fail("ENOSPC");
  expect(slow.isWaiting()).toBe(false);
  output.write("three\n");
  vi.advanceTimersByTime(100);
  slow.take();
  vi.advanceTimersByTime(100);
  slow.take();
  expect(slow.received[0]).toBe("three\n");
  expect(JSON.parse(slow.received[1] ?? "")).toMatchObject({ level: "warn", dropped: 2 });
});

test("a line that is longer than a chunk comes whole", () => {
  const slow = slowSink();
  const output = createLineOutput(slow.sink);
  output.write("before\n");
  output.write(`${"é".repeat(100_000)}\n`);
  output.write("after\n");
  while (slow.isWaiting()) slow.take();
  output.flushSync();
  expect(slow.received.join("")).toBe(`before\n${"é".repeat(100_000)}\nafter\n`);
});

test("writes what is left at the end, but not twice what is under way", () => {
  const slow = slowSink();
  const output = createLineOutput(slow.sink);
  output.write("under way\n");
  vi.advanceTimersByTime(100);
  output.write("left\n");
  output.flushSync();
  expect(slow.received).toEqual(["left\n"]);
});

test("is silent when nobody reads any more", () => {
  const slow = slowSink();
  const output = createLineOutput(slow.sink);
  output.write("lost\n");
  vi.advanceTimersByTime(100);
  slow.fail("EPIPE");
  output.write("lost too\n");
  vi.advanceTimersByTime(100);
  output.flushSync();
  expect(slow.isWaiting()).toBe(false);
  expect(slow.received).toEqual([]);
});

test("writes to a file", async () => {
  vi.useRealTimers();
  const folder = mkdtempSync(join(tmpdir(), "shopmesh-log-"));
  const file = join(folder, "log");
  const fd = openSync(file, "w");
  try {
    const output = createLineOutput(fileSink(fd));
    output.write("one\n");
    await expect.poll(() => readFileSync(file, "utf8")).toBe("one\n");
    output.write("two\n");
    output.flushSync();
    expect(readFileSync(file, "utf8")).toBe("one\ntwo\n");
  } finally {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
});
