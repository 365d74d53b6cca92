import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createSnapshotWriter } from "./snapshot-writer.ts";

let state: number;
let written: number[];
let isFull: boolean;
let release: (() => void) | undefined;
const error = vi.fn();

beforeEach(() => {
  vi.useFakeTimers();
  error.mockClear();
  state = 0;
  written = [];
  isFull = false;
});
afterEach(() => vi.useRealTimers());

const write = async (): Promise<void> => {
  const present = state;
  await new Promise<void>((resolve) => {
    release = resolve;
  });
  if (isFull) throw new Error("no space left on device");
  written.push(present);
};

test("writes once more what changed while it wrote, however much that was", async () => {
  const writer = createSnapshotWriter({ write, log: { error } });
  for (state = 1; state <= 50; state += 1) writer.changed();
  state = 50;
  release?.();
  await vi.advanceTimersByTimeAsync(99);
  expect(written).toEqual([1]);
  await vi.advanceTimersByTimeAsync(1);
  release?.();
  await vi.advanceTimersByTimeAsync(0);
  expect(written).toEqual([1, 50]);
});

test("writes what changes in whatever moment a write ends", async () => {
  for (let steps = 0; steps < 10; steps += 1) {
    const writer = createSnapshotWriter({ write, log: { error } });
    state = 1;
    writer.changed();
    release?.();
    for (let step = 0; step < steps; step += 1) await Promise.resolve();
    state = 2;
    writer.changed();
    await vi.advanceTimersByTimeAsync(100);
    release?.();
    await vi.advanceTimersByTimeAsync(0);
    expect(written.splice(0).at(-1)).toBe(2);
    await writer.close();
  }
});

test("tries again after a second when the disk does not take it, and at the latest when it is closed", async () => {
  const writer = createSnapshotWriter({ write, log: { error } });
  isFull = true;
  state = 1;
  writer.changed();
  release?.();
  await vi.advanceTimersByTimeAsync(999);
  expect(error).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(1);
  release?.();
  await vi.advanceTimersByTimeAsync(0);
  expect(error).toHaveBeenCalledTimes(2);
  isFull = false;
  const closed = writer.close();
  await vi.advanceTimersByTimeAsync(0);
  release?.();
  await closed;
  expect(written).toEqual([1]);
  writer.changed();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(written).toEqual([1]);
});
