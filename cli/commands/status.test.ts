import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ProcessState } from "#gen/mesh/supervisor/v1/supervisor_service.ts";
import { AuthorityState } from "#gen/mesh/v1/certificate_service.ts";
import { InstanceState } from "#gen/mesh/v1/instance.ts";
import type { RegisteredInstance } from "#gen/mesh/v1/registry_service.ts";
import { systemClock } from "#mesh/clock.ts";
import { removeFolder, temporaryFolder } from "#testing/folders.ts";
import type { TestMesh } from "#testing/mesh.ts";
import { dataFolder, prepareDataFolder } from "../data/folder.ts";
import { type Lock, takeLock } from "../data/lock.ts";
import { type RunProcess, writeRunState } from "../data/run-file.ts";
import {
  anInstance,
  aProcess,
  type FakeAnswers,
  runIn,
  runningProcesses,
  startFakeShop,
} from "../testing/fake-shop.ts";
import { captureOutput } from "../testing/programs.ts";
import { nextPaces } from "./status/rates.ts";

let dir: string;
let lock: Lock;
let mesh: TestMesh | undefined;

beforeEach(async () => {
  dir = await temporaryFolder();
  prepareDataFolder(dataFolder(dir));
  lock = await takeLock(dataFolder(dir).lockDir);
});

afterEach(async () => {
  await mesh?.close();
  mesh = undefined;
  await lock.release();
  await removeFolder(dir);
});

const now = (): Date => systemClock.now();

/** Writes down a run of these processes, half a minute old. This process stands for all of them. */
function writeRun(...names: readonly string[]): void {
  writeRunSince(30, ...names);
}

function writeRunSince(seconds: number, ...names: readonly string[]): void {
  const startTime = new Date(now().getTime() - seconds * 1_000).toISOString();
  const processes = names.map(
    (name): RunProcess => ({
      ...{ name, service: name.replace(/-\d+$/, ""), version: "v1", pid: process.pid, port: 4001, state: "ready" },
      ...{ startTime, restarts: 0, lastExit: "", grpcHealth: false },
    }),
  );
  const run = { pid: process.pid, runId: "run_1", address: "127.0.0.1:8080", startTime };
  writeRunState(dataFolder(dir), { ...run, joinAddress: "127.0.0.1:1", targets: { supervisor: [] }, processes });
}

const well: FakeAnswers = {
  supervisor: { listProcesses: runningProcesses(aProcess("control"), aProcess("cart"), aProcess("cart-2")) },
  registry: { listInstances: async () => ({ instances: [anInstance("cart"), anInstance("cart-2")] }) },
  traffic: { listTrafficRules: async () => ({ rules: [] }) },
  certificates: { listAuthorities: async () => ({ authorities: [] }) },
};

async function statusOf(answers: FakeAnswers, ...args: readonly string[]) {
  mesh = await startFakeShop(answers);
  return runIn(mesh, ["status", "--data", dir, ...args]);
}

describe("a shop that is well", () => {
  test("is shown with versions, calls and memory, and is exit code 0", async () => {
    writeRun("control", "cart", "cart-2");
    const { code, text } = await statusOf(well);
    expect(text).toMatch(/^shop at 127\.0\.0\.1:8080, up \d+ (ms|s), data in /);
    const columns = "NAME +STATE +VERSION +PID +PORT +UP +MIB +CALLS +FAILED +SHED +RUNNING +LIMIT +RESTARTS";
    expect(text).toMatch(new RegExp(`\\n\\n${columns}\\n`));
    expect(text).toMatch(/\ncart +ready +v1 +\d+ +4001 +\d+s +\d+ +10 +1 +2 +3 +64 +0\n/);
    expect(text).toMatch(/\ntotal +\d+ +20 +2 +4 +6\n$/);
    expect(code).toBe(0);
  });

  test("is told to programs in full", async () => {
    writeRun("control", "cart", "cart-2");
    const { code, text } = await statusOf(well, "--json");
    expect(code).toBe(0);
    const report = JSON.parse(text);
    expect(report).toMatchObject({ running: true, well: true, address: "127.0.0.1:8080", rules: [], troubles: [] });
    expect(report.processes[1]).toMatchObject({
      ...{ name: "cart", service: "cart", version: "v1", state: "ready", registered: "serving", restarts: 0 },
      calls: { total: 10, failed: 1, shed: 2, running: 3, limit: 64 },
    });
  });

  test("fits into a terminal by leaving columns out", async () => {
    writeRun("control", "cart", "cart-2");
    mesh = await startFakeShop(well);
    const output = { ...captureOutput(), size: () => ({ columns: 60, rows: 24 }) };
    await runIn(mesh, ["status", "--data", dir], { output });
    const lines = output.text().split("\n").slice(2);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(60);
    expect(lines[0]).toMatch(/^NAME +STATE +VERSION +UP +MIB +CALLS +FAILED/);
  });
});

test("what keeps crashing is told plainly, and is exit code 1", async () => {
  writeRun("control", "cart");
  const crashing = { state: ProcessState.CRASHING, restarts: 6, lastExit: "exited with code 1", pid: 0 };
  const listProcesses = runningProcesses(aProcess("control"), aProcess("cart", crashing));
  const { code, text } = await statusOf({ ...well, supervisor: { listProcesses } });
  expect(text).toContain(
    "cart keeps crashing: it exited with code 1, and is tried ever more rarely; shopmesh logs cart says why\n",
  );
  expect(code).toBe(1);
});

test("an instance that the registry has as leaving is shown so, and one from elsewhere is shown too", async () => {
  writeRun("control", "cart");
  const instances = [anInstance("cart", { state: InstanceState.DRAINING }), anInstance("greeter-7")];
  const { code, text } = await statusOf({ ...well, registry: { listInstances: async () => ({ instances }) } });
  expect(text).toMatch(/\ncart +draining +v1 /);
  expect(text).toMatch(/\ngreeter-7 +elsewhere +v1 /);
  expect(code).toBe(1);
});

test("an instance that is ready and that the registry does not know is marked, if that can be asked", async () => {
  writeRun("control", "cart", "cart-2");
  const { code, text } = await statusOf({
    ...well,
    registry: { listInstances: async () => ({ instances: [anInstance("cart")] }) },
  });
  expect(text).toMatch(/\ncontrol +ready /);
  expect(text).toMatch(/\ncart +ready /);
  expect(text).toMatch(/\ncart-2 +not registered +v1 /);
  expect(code).toBe(1);
  await mesh?.close();
  const { text: unasked } = await statusOf({ ...well, registry: {} });
  expect(unasked).toMatch(/\ncart-2 +ready /);
  await mesh?.close();
  writeRunSince(5, "control", "cart");
  const starting = await statusOf({ ...well, registry: { listInstances: async () => ({ instances: [] }) } });
  expect(starting.text).toMatch(/\ncart +ready /);
});

test("rules and authorities are shown", async () => {
  writeRun("control");
  const fault = { faultId: "flt_1", callers: [], methods: [], percent: 10, delay: undefined, statusCode: 14 };
  const expireTime = new Date(now().getTime() + 5_399_000);
  const rule = { service: "cart", effect: { $case: "fault" as const, value: fault }, createTime: now(), expireTime };
  const authority = { generation: 2n, state: AuthorityState.SIGNING, fingerprint: "3fa94c01b2d7ee".repeat(4) };
  const { text } = await statusOf({
    ...well,
    traffic: { listTrafficRules: async () => ({ rules: [rule] }) },
    certificates: {
      listAuthorities: async () => ({
        authorities: [{ ...authority, createTime: now(), expireTime: new Date("2036-11-20T00:00:00Z") }],
      }),
    },
  });
  expect(text).toContain("flt_1  10 % of calls fail with UNAVAILABLE  for 1 h 29 min more\n");
  expect(text).toContain("authority 2 (3fa94c01b2d7) signs, and is good until 2036-11-20\n");
});

describe("without the control plane", () => {
  test("what the run file and the supervisor know is shown, with exit code 1", async () => {
    writeRun("control", "cart");
    const { code, text } = await statusOf({ supervisor: well.supervisor });
    expect(text).toContain("control can't be asked: ");
    expect(text).toMatch(/\ncart +ready +v1 /);
    expect(code).toBe(1);
  });

  test("nobody waits for an answer that does not come", async () => {
    writeRun("control", "cart");
    const never = () => new Promise<never>(() => undefined);
    const { code, text } = await statusOf({
      supervisor: { listProcesses: never },
      registry: { listInstances: never },
      traffic: { listTrafficRules: never },
      certificates: { listAuthorities: never },
    });
    expect(text).toContain("control can't be asked: ");
    expect(text).toContain("the supervisor can't be asked: ");
    expect(text).toMatch(/\ncart +ready +v1 /);
    expect(code).toBe(1);
  });
});

test("no shop is exit code 1", async () => {
  const { code, text } = await runIn(undefined, ["status", "--data", dir]);
  expect({ code, text }).toEqual({ code: 1, text: `no shop runs in ${dir}\n` });
});

test("watches until it is told to stop, and tells calls a second from the second look on", async () => {
  writeRun("control", "cart");
  let looks = 0;
  const listInstances = async (): Promise<{ instances: readonly RegisteredInstance[] }> => {
    looks++;
    const stats = { callsTotal: BigInt(looks * 50), callsFailed: 0n, callsShed: 0n, callsRunning: 0n };
    const reportTime = new Date(looks * 1_000);
    return { instances: [anInstance("cart", { stats: { ...stats, concurrencyLimit: 64n }, reportTime })] };
  };
  mesh = await startFakeShop({ ...well, registry: { listInstances } });
  const stop = new AbortController();
  const output = captureOutput();
  const ended = runIn(mesh, ["status", "--watch", "--data", dir], {
    output,
    interrupt: () => ({ signal: stop.signal, close: () => undefined }),
  });
  await output.saw("PER S");
  stop.abort();
  expect(await ended).toMatchObject({ code: 0 });
  expect(output.text()).toMatch(/\ncart +ready +v1 .* 100 +0 +0 +50 /);
});

describe("the pace of calls", () => {
  const at = (seconds: number, callsTotal: bigint, startSeconds = 0): RegisteredInstance =>
    anInstance("cart", {
      stats: { callsTotal, callsFailed: 0n, callsShed: 0n, callsRunning: 0n, concurrencyLimit: 0n },
      registerTime: new Date(startSeconds * 1_000),
      reportTime: new Date(seconds * 1_000),
    });
  const paceAfter = (...looks: readonly RegisteredInstance[]): number | undefined =>
    looks.reduce<ReturnType<typeof nextPaces>>((before, look) => nextPaces(before, [look]), new Map()).get("cart/cart")
      ?.callsPerSecond;

  test.each([
    ["is not known from one report", [at(1, 10n)], undefined],
    ["is what came between two, by their own times", [at(1, 10n), at(3, 50n)], 20],
    ["stays as it was when no report came between two looks", [at(1, 10n), at(3, 50n), at(3, 50n)], 20],
    ["begins anew with another process of the name", [at(1, 10n), at(3, 50n), at(4, 60n, 3)], undefined],
  ])("%s", (_what, looks, pace) => {
    expect(paceAfter(...looks)).toBe(pace);
  });
});
