import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type StopSignals, watchStopSignals } from "./stop-signals.ts";

let signals: StopSignals;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance", "setInterval", "clearInterval"] });
  signals = watchStopSignals();
});

afterEach(() => {
  signals.close();
  vi.unstubAllEnvs();
  vi.useRealTimers();
});

test("stops at the first signal and makes haste at the second", async () => {
  process.emit("SIGHUP", "SIGHUP");
  expect(await signals.stopped).toBe("SIGHUP");
  expect(signals.stop.aborted).toBe(true);
  expect(signals.hasten.aborted).toBe(false);
  vi.advanceTimersByTime(1000);
  process.emit("SIGHUP", "SIGHUP");
  expect(signals.hasten.aborted).toBe(true);
  expect(signals.defect()).toBeUndefined();
});

test("takes two signals at once, as they come by way of npm, for one", () => {
  process.emit("SIGHUP", "SIGHUP");
  vi.advanceTimersByTime(50);
  process.emit("SIGHUP", "SIGHUP");
  expect(signals.stop.aborted).toBe(true);
  expect(signals.hasten.aborted).toBe(false);
});

test("stops when npm's shell is gone", () => {
  signals.close();
  vi.stubEnv("npm_lifecycle_event", "start");
  const parent = vi.spyOn(process, "ppid", "get").mockReturnValue(4711);
  signals = watchStopSignals();
  vi.advanceTimersByTime(5000);
  expect(signals.stop.aborted).toBe(false);
  parent.mockReturnValue(1);
  vi.advanceTimersByTime(1000);
  expect(signals.stop.aborted).toBe(true);
  parent.mockRestore();
});

test("listens no longer once it is closed", () => {
  const before = process.listenerCount("SIGTERM");
  signals.close();
  expect(process.listenerCount("SIGTERM")).toBe(before - 1);
});
