import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startOf } from "../postgres/processes.ts";
import { lockHolder, takeLock } from "./lock.ts";

let lockDir: string;

beforeEach(() => {
  lockDir = join(mkdtempSync(join(tmpdir(), "shopmesh-lock-")), "lock");
});

afterEach(() => {
  rmSync(join(lockDir, ".."), { recursive: true, force: true });
});

test("is taken, refused to another, and free again after its release", async () => {
  const lock = await takeLock(lockDir);
  expect(await lockHolder(lockDir)).toBe(process.pid);
  const other = otherProcess();
  try {
    await expect(takeLock(lockDir, other.pid)).rejects.toThrow(
      new RegExp(`^a shop already runs in .* \\(process ${process.pid}\\); stop it first, or use another folder`),
    );
    expect(await lockHolder(lockDir)).toBe(process.pid);
    await lock.release();
    const second = await takeLock(lockDir, other.pid);
    expect(await lockHolder(lockDir)).toBe(other.pid);
    await second.release();
    expect(await lockHolder(lockDir)).toBeUndefined();
  } finally {
    await other.end();
  }
});

test("is taken over from a process that was killed", async () => {
  const dead = otherProcess();
  await takeLock(lockDir, dead.pid);
  await dead.end();
  const lock = await takeLock(lockDir);
  expect(await lockHolder(lockDir)).toBe(process.pid);
  expect(readdirSync(lockDir)).toHaveLength(1);
  await lock.release();
});

test("is not held by a later process that was given the same id", async () => {
  const other = otherProcess();
  try {
    await takeLock(lockDir, process.pid).then((lock) => lock.release());
    writeFileSync(join(lockDir, `${other.pid}@${Number(await startOf(other.pid)) - 1}`), "");
    expect(await lockHolder(lockDir)).toBeUndefined();
  } finally {
    await other.end();
  }
});

test("goes to one at most of many that want it at once", async () => {
  const others = Array.from({ length: 8 }, otherProcess);
  try {
    const results = await Promise.allSettled(others.map(({ pid }) => takeLock(lockDir, pid)));
    const held = results.filter(({ status }) => status === "fulfilled");
    expect(held.length).toBeLessThanOrEqual(1);
    expect(readdirSync(lockDir)).toHaveLength(held.length);
  } finally {
    await Promise.all(others.map((other) => other.end()));
  }
});

interface OtherProcess {
  readonly pid: number;
  end(): Promise<void>;
}

function otherProcess(): OtherProcess {
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  const exited = once(child, "exit");
  return {
    pid: child.pid ?? 0,
    async end() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}
