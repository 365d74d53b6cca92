import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { isRunning } from "../testing/programs.ts";
import { startTestSupervisor, stepsOf, type TestSupervisor, wellBehavedService } from "../testing/test-supervisor.ts";

let supervisor: TestSupervisor | undefined;

afterEach(async () => {
  await supervisor?.close();
  supervisor = undefined;
});

async function start(options: Parameters<typeof startTestSupervisor>[0] & { readonly instances?: number } = {}) {
  const { instances = 1, ...rest } = options;
  supervisor = await startTestSupervisor(rest);
  if (instances > 1) await scaleTo(supervisor, instances);
  return supervisor;
}

function scaleTo({ client, call }: TestSupervisor, instances: number) {
  return client.scaleService({ requestId: crypto.randomUUID(), service: "cart", instances }, call());
}

const failsToStart = `console.error("no such table"); process.exitCode = 3;`;
const crashes = `process.send({ type: "ready" }, () => process.exit(5));`;
/** Never ends within a test: what is watched so long is watched until something happens. */
const forLong = 600_000;

test("succeeds also when the old releases cannot be removed, and says so", async () => {
  supervisor = await startTestSupervisor();
  supervisor.releases.prune = () => Promise.reject(new Error("it is read-only"));
  supervisor.built.write("cart", wellBehavedService("v2"));
  expect((await supervisor.rollOut("v2")).at(-1)).toBe("FINISHED");
  expect(supervisor.instances()).toEqual(["cart-2 v2"]);
  expect(supervisor.output.text()).toContain("cart: old releases can't be removed: it is read-only");
});

test("brings in one new instance after the other, each before an old one ends", async () => {
  const { built, rollOut, instances, output } = await start({ instances: 2 });
  built.write("cart", wellBehavedService("v2"));
  expect(await rollOut("v2")).toEqual([
    "STARTING cart-3",
    "TAKES_CALLS cart-3",
    "DRAINED cart-1",
    "STARTING cart-1",
    "TAKES_CALLS cart-1",
    "DRAINED cart-2",
    "FINISHED",
  ]);
  expect(instances()).toEqual(["cart-1 v2", "cart-3 v2"]);
  const [readyAt, endedAt] = ["cart-3 is ready", "cart-1 v1 asked to end"].map((text) => output.text().indexOf(text));
  expect(readyAt).toBeLessThan(endedAt ?? 0);
});

test("what is built later changes nothing about what runs, and a crashed one comes back as what it was", async () => {
  const { built, rollOut, pidOf, output } = await start();
  built.write("cart", wellBehavedService("v2"));
  await rollOut("v2");
  built.write("cart", failsToStart);
  process.kill(pidOf("cart-2"), "SIGKILL");
  await output.saw("cart-2 is ready again");
  built.write("cart", wellBehavedService("v3"));
  expect((await rollOut("v3")).at(-1)).toBe("FINISHED");
  expect(output.text()).toContain("cart-2 v2 asked to end");
});

test.each([
  ["cannot start", failsToStart],
  ["crashes while it is watched", crashes],
])("goes back when a new one %s", async (_, program) => {
  const { built, rollOut, instances, output } = await start({ watchMs: forLong });
  built.write("cart", program);
  expect(await rollOut("v2")).toEqual(["STARTING cart-2", "FAILED cart-2", "WENT_BACK"]);
  expect(instances()).toEqual(["cart-1 v1"]);
  expect(output.text()).toContain("cart: went back to v1");
  expect(output.text()).not.toContain("asked to end");
});

test("goes back when a new one is not known to others in time", async () => {
  const { built, control, rollOut, instances } = await start({ readyMs: 2_000 });
  control.unknown = new Set(["cart-2"]);
  built.write("cart", wellBehavedService("v2"));
  expect(await rollOut("v2")).toEqual(["STARTING cart-2", "FAILED cart-2", "WENT_BACK"]);
  expect(instances()).toEqual(["cart-1 v1"]);
});

test("goes back at once when a new one crashes before others know it", async () => {
  const { built, control, rollOut, instances } = await start();
  control.unknown = new Set(["cart-2"]);
  built.write("cart", crashes);
  expect(await rollOut("v2")).toEqual(["STARTING cart-2", "FAILED cart-2", "WENT_BACK"]);
  expect(instances()).toEqual(["cart-1 v1"]);
});

test("goes back when a new one fails more of its calls than the old ones", async () => {
  const { built, control, rollOut, instances } = await start();
  control.onCalls = () => {
    control.counts = new Map([
      ["cart-1", { total: 1_000, failed: 10 }],
      ["cart-2", { total: 100, failed: 40 }],
    ]);
  };
  built.write("cart", wellBehavedService("v2"));
  expect(await rollOut("v2")).toEqual(["STARTING cart-2", "FAILED cart-2", "WENT_BACK"]);
  expect(instances()).toEqual(["cart-1 v1"]);
});

test("goes back when control does not tell of the calls of a new one in time", async () => {
  const { built, control, rollOut, instances, output } = await start({ lookMs: 100 });
  control.onCalls = () => {
    control.counts = undefined;
  };
  built.write("cart", wellBehavedService("v2"));
  expect(await rollOut("v2")).toEqual(["STARTING cart-2", "FAILED cart-2", "WENT_BACK"]);
  expect(instances()).toEqual(["cart-1 v1"]);
  expect(output.text()).toContain("cart-2 was not judged: control has told nothing of its calls for 0.1 s");
});

test("goes back at once when a new one ends while control is waited for", async () => {
  const { built, control, rollOut, pidOf } = await start({ lookMs: 600_000 });
  control.onCalls = () => {
    if (control.counts === undefined) process.kill(pidOf("cart-2"), "SIGKILL");
    control.counts = undefined;
  };
  built.write("cart", wellBehavedService("v2"));
  expect(await rollOut("v2")).toEqual(["STARTING cart-2", "FAILED cart-2", "WENT_BACK"]);
});

test("goes back to as many old ones as there were when a later new one fails", async () => {
  const { built, rollOut, instances } = await start({ instances: 3 });
  const marker = JSON.stringify(join(built.dir, "second"));
  built.write(
    "cart",
    `import { existsSync, writeFileSync } from "node:fs";
     if (existsSync(${marker})) process.exit(3);
     writeFileSync(${marker}, "");
     ${wellBehavedService("v2")}`,
  );
  expect(await rollOut("v2")).toEqual([
    "STARTING cart-4",
    "TAKES_CALLS cart-4",
    "DRAINED cart-1",
    "STARTING cart-1",
    "FAILED cart-1",
    "STARTING cart-1",
    "WENT_BACK",
  ]);
  expect(instances()).toEqual(["cart-1 v1", "cart-2 v1", "cart-3 v1"]);
});

test("goes back when a new one is killed, and carries on when an old one is", async () => {
  const { built, fleet, pidOf, rollOut, instances, output } = await start({ watchMs: forLong });
  built.write("cart", wellBehavedService("v2"));
  const steps = rollOut("v2");
  await output.saw("cart-2 is ready");
  process.kill(pidOf("cart-1"), "SIGKILL");
  await output.saw("cart-1 is ready again");
  expect(fleet.processes().map(({ name }) => name)).toContain("cart-2");
  process.kill(pidOf("cart-2"), "SIGKILL");
  expect(await steps).toEqual(["STARTING cart-2", "FAILED cart-2", "WENT_BACK"]);
  expect(instances()).toEqual(["cart-1 v1"]);
});

test("ends the only one of a kind before it brings in the new one, at the same place, and goes back too", async () => {
  const { built, client, call, instances, fleet } = await start();
  const portOf = () => fleet.processes().find(({ name }) => name === "control")?.port;
  const port = portOf();
  const rollOut = (version: string) => {
    const request = { requestId: crypto.randomUUID(), service: "control", release: { version, programsDir: "" } };
    return stepsOf(client.rolloutService(request, call()));
  };
  built.write("control", wellBehavedService("v2"));
  expect(await rollOut("v2")).toEqual(["DRAINED control", "STARTING control", "TAKES_CALLS control", "FINISHED"]);
  built.write("control", failsToStart);
  expect((await rollOut("v3")).slice(-2)).toEqual(["STARTING control", "WENT_BACK"]);
  expect(instances("control")).toEqual(["control v2"]);
  expect(portOf()).toBe(port);
});

test("goes on when its caller has left, and a copy of the request is told all of it", async () => {
  const { built, client, call, instances, output } = await start();
  built.write("cart", wellBehavedService("v2"));
  const request = { requestId: crypto.randomUUID(), service: "cart", release: { version: "v2", programsDir: "" } };
  const leaving = new AbortController();
  const left = stepsOf(client.rolloutService(request, call(leaving.signal)));
  await output.saw("cart: cart-2 (v2) starting");
  leaving.abort();
  await expect(left).rejects.toMatchObject({ code: "CANCELLED" });
  expect(await stepsOf(client.rolloutService(request, call()))).toEqual([
    "STARTING cart-2",
    "TAKES_CALLS cart-2",
    "DRAINED cart-1",
    "FINISHED",
  ]);
  expect(instances()).toEqual(["cart-2 v2"]);
});

test("has all take turns first, whatever split an earlier run has left", async () => {
  const { built, control, rollOut } = await start();
  await control.setSplit("cart", { headerMatches: [], weights: [{ version: "v1", percent: 100 }] });
  built.write("cart", wellBehavedService("v2"));
  const splitsAtFirstCheck: number[] = [];
  control.onCalls = () => splitsAtFirstCheck.push(control.splits.length);
  expect((await rollOut("v2")).at(-1)).toBe("FINISHED");
  expect(control.splits.at(-1)).toBe(undefined);
  expect(splitsAtFirstCheck[0]).toBe(2);
});

test("ends with everything else when the shop is stopped in its midst", async () => {
  const { built, client, call, stop, fleet, output } = await start({ instances: 2, watchMs: forLong });
  built.write("cart", wellBehavedService("v2"));
  const request = { requestId: crypto.randomUUID(), service: "cart", release: { version: "v2", programsDir: "" } };
  const steps = stepsOf(client.rolloutService(request, call()));
  const refused = expect(steps).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "SERVICE_UNAVAILABLE" });
  await output.saw("cart-3 is ready");
  const pids = fleet.processes().map(({ pid }) => pid);
  expect(pids).toHaveLength(4);
  await stop();
  await refused;
  for (const pid of pids) expect(await isRunning(pid)).toBe(false);
  // Control goes last: whoever stops leaves the registry before.
  expect(output.text().trimEnd()).toMatch(/control v1 asked to end$/);
});
