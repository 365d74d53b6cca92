import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { dataFolder } from "./folder.ts";
import { runIdVariable, stopLeftovers } from "./leftovers.ts";
import { writeRunState } from "./run-file.ts";

let dir: string;
const runId = randomUUID();

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "shopmesh-leftovers-"));
});

afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

test("kills a process of a run whose supervisor was killed", async () => {
  const leftover = sleeping(runId);
  rememberRun(leftover.pid);
  expect(await stopLeftovers(dataFolder(dir))).toEqual(["cart"]);
  expect(await leftover.ended).toEqual([null, "SIGKILL"]);
  expect(await stopLeftovers(dataFolder(dir))).toEqual([]);
});

test("leaves a process alone that was given the id later", async () => {
  const stranger = sleeping("another run");
  rememberRun(stranger.pid);
  expect(await stopLeftovers(dataFolder(dir))).toEqual([]);
  expect(stranger.isRunning()).toBe(true);
  stranger.kill();
  await stranger.ended;
});

test("does nothing in a folder where nothing was left, or nothing that can be read", async () => {
  expect(await stopLeftovers(dataFolder(dir))).toEqual([]);
  writeFileSync(dataFolder(dir).runFile, "");
  expect(await stopLeftovers(dataFolder(dir))).toEqual([]);
});

function rememberRun(pid: number): void {
  const startTime = "2026-06-01T12:00:00.000Z";
  const known = { name: "cart", service: "cart", version: "v1", lastExit: "" };
  const process = { ...known, pid, port: 1, state: "ready", startTime, restarts: 0, grpcHealth: true } as const;
  const run = { pid: 1, runId, address: "127.0.0.1:1", startTime, joinAddress: "", targets: {}, processes: [process] };
  writeRunState(dataFolder(dir), run);
}

function sleeping(run: string) {
  const child = spawn("sleep", ["1000"], {
    detached: true,
    stdio: "ignore",
    env: { PATH: process.env.PATH, [runIdVariable]: run },
  });
  return {
    pid: child.pid ?? 0,
    ended: once(child, "exit"),
    isRunning: () => child.exitCode === null && child.signalCode === null,
    kill: () => child.kill("SIGKILL"),
  };
}
