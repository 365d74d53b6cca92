import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { ProcessState } from "#gen/mesh/supervisor/v1/supervisor_service.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { deferred } from "../deferred.ts";
import { startTestSupervisor, stepsOf, type TestSupervisor, wellBehavedService } from "../testing/test-supervisor.ts";
import { createChanges } from "./changes.ts";

let supervisor: TestSupervisor;

afterEach(() => supervisor.close());

const requestId = (): string => crypto.randomUUID();
const forLong = 600_000;

function scaleTo(instances: number, id = requestId()) {
  const { client, call } = supervisor;
  return client.scaleService({ requestId: id, service: "cart", instances }, call());
}

function rollOut(version: string) {
  const { client, call } = supervisor;
  const request = { requestId: requestId(), service: "cart", release: { version, programsDir: "" } };
  return stepsOf(client.rolloutService(request, call()));
}

test("scales up and down, ends the latest first, and tells of every process", async () => {
  supervisor = await startTestSupervisor();
  const up = await scaleTo(3);
  expect(up.processes.map(({ name }) => name)).toEqual(["cart-1", "cart-2", "cart-3"]);
  const { processes } = await supervisor.client.listProcesses({}, supervisor.call());
  expect(processes.map(({ name }) => name)).toEqual(["cart-1", "cart-2", "cart-3", "control"]);
  for (const process of processes) {
    expect(process).toMatchObject({
      version: "v1",
      state: ProcessState.READY,
      restarts: 0,
      lastExit: "",
      canary: false,
    });
    expect(process.pid).toBe(supervisor.pidOf(process.name));
  }
  const down = await scaleTo(1);
  expect(down.processes.map(({ name }) => name)).toEqual(["cart-1"]);
  for (const name of ["cart-2", "cart-3"]) expect(supervisor.output.text()).toContain(`${name} v1 asked to end`);
});

test("leaves all as it was when one that was started for a scaling fails", async () => {
  supervisor = await startTestSupervisor();
  const marker = join(supervisor.built.dir, "broken");
  supervisor.built.write(
    "cart",
    `import { existsSync } from "node:fs";
     if (process.env.NAME === "cart-3" && existsSync(${JSON.stringify(marker)})) process.exit(3);
     ${wellBehavedService("v2")}`,
  );
  await rollOut("v2");
  writeFileSync(marker, "");
  await expect(scaleTo(3)).rejects.toMatchObject({ code: "FAILED_PRECONDITION", reason: "INSTANCE_FAILED" });
  expect(supervisor.instances()).toEqual(["cart-2 v2"]);
});

test("starts again what is to be restarted: another takes calls before, where there can be two", async () => {
  supervisor = await startTestSupervisor();
  await scaleTo(2);
  const { client, call, output, fleet } = supervisor;
  const restart = (name: string) => client.restartService({ requestId: requestId(), name }, call());
  expect((await restart("cart")).processes.map(({ name }) => name)).toEqual(["cart-1", "cart-3"]);
  const order = ["cart-3 is ready", "cart-1 v1 asked to end"].map((text) => output.text().indexOf(text));
  expect(order[0]).toBeLessThan(order[1] ?? 0);
  expect((await restart("cart-3")).processes.map(({ name }) => name)).toEqual(["cart-1", "cart-2"]);
  const [before, port] = [supervisor.pidOf("control"), fleet.processes().at(-1)?.port];
  expect((await restart("control")).processes).toMatchObject([{ name: "control", state: ProcessState.READY }]);
  expect(supervisor.pidOf("control")).not.toBe(before);
  expect(fleet.processes().at(-1)?.port).toBe(port);
});

test("makes one change of a service at a time, and those of others meanwhile", async () => {
  supervisor = await startTestSupervisor({ watchMs: forLong });
  const { built, client, call, output } = supervisor;
  built.write("cart", wellBehavedService("v2"));
  const steps = rollOut("v2");
  await output.saw("cart-2 is ready");
  await expect(scaleTo(3)).rejects.toMatchObject({ code: "ABORTED", reason: "CHANGE_UNDER_WAY" });
  const restart = { requestId: requestId(), name: "cart-1" };
  await expect(client.restartService(restart, call())).rejects.toMatchObject({ reason: "CHANGE_UNDER_WAY" });
  await client.restartService({ requestId: requestId(), name: "control" }, call());
  const stopped = expect(steps).rejects.toMatchObject({ code: "UNAVAILABLE" });
  await supervisor.stop();
  await stopped;
});

test("knows a change by its request as long as it goes on, however many others end meanwhile", async () => {
  supervisor = await startTestSupervisor();
  const changes = createChanges();
  const request = (service: string, id = requestId()) => ({
    ...{ method: "scale", caller: "operator", body: "", service },
    requestId: id,
  });
  const done = deferred<string>();
  const slow = request("cart");
  const first = changes.begin(slow, () => done.promise);
  for (let other = 0; other < 250; other += 1) {
    await changes.begin(request("orders"), async () => "done").outcome;
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(changes.begin(slow, async () => "begun a second time")).toBe(first);
  done.resolve("done");
  expect(await first.outcome).toBe("done");
});

test("refuses what it does not know, and what there is no room for", async () => {
  supervisor = await startTestSupervisor();
  const { client, call } = supervisor;
  const scale = (service: string, instances: number) =>
    client.scaleService({ requestId: requestId(), service, instances }, call());
  for (const service of ["nobody", "payment-gateway"]) {
    await expect(scale(service, 2)).rejects.toMatchObject({ code: "NOT_FOUND", reason: "PROGRAM_UNKNOWN" });
  }
  const tooMany = { reason: "TOO_MANY_INSTANCES" };
  await expect(scale("control", 2)).rejects.toMatchObject({ ...tooMany, metadata: { limit: "1" } });
  const release = { version: "v2", programsDir: "" };
  const canary = { requestId: requestId(), service: "control", release, percent: 1, headers: [] };
  await expect(client.startCanary(canary, call())).rejects.toMatchObject(tooMany);
  await expect(rollOut("v1")).rejects.toMatchObject({ reason: "RELEASE_UNUSABLE", metadata: { version: "v1" } });
  await expect(rollOut("0123456789ab")).rejects.toMatchObject({ reason: "RELEASE_UNUSABLE" });
  // PostgreSQL has room for eight.
  await scaleTo(8);
  supervisor.built.write("cart", wellBehavedService("v2"));
  await expect(rollOut("v2")).rejects.toMatchObject({ ...tooMany, metadata: { limit: "8" } });
});

const canaryOf = (version: string, percent: number) => ({
  requestId: requestId(),
  service: "cart",
  release: { version, programsDir: "" },
  percent,
  headers: [{ header: "x-canary", value: "yes" }],
});

test("a canary gets its share and no call before, and becomes the first of a rollout", async () => {
  supervisor = await startTestSupervisor();
  await scaleTo(2);
  const { built, client, call, control } = supervisor;
  built.write("cart", wellBehavedService("v2"));
  const { process: canary, split } = await client.startCanary(canaryOf("v2", 5), call());
  expect(canary).toMatchObject({ name: "cart-3", version: "v2", canary: true });
  const all = { headerMatches: [], weights: [{ version: "v1", percent: 100 }] };
  const share = {
    headerMatches: [{ header: "x-canary", value: "yes", version: "v2" }],
    weights: [
      { version: "v1", percent: 95 },
      { version: "v2", percent: 5 },
    ],
  };
  expect(split).toEqual(share);
  expect(control.splits).toEqual([all, share]);
  await expect(client.startCanary(canaryOf("v3", 5), call())).rejects.toMatchObject({ reason: "TOO_MANY_INSTANCES" });
  // It is none of those that are counted.
  expect((await scaleTo(2)).processes.filter((one) => !one.canary)).toHaveLength(2);
  expect((await rollOut("v2")).slice(0, 2)).toEqual(["TAKES_CALLS cart-3", "DRAINED cart-1"]);
  expect(supervisor.instances()).toEqual(["cart-1 v2", "cart-3 v2"]);
  expect(control.splits).toEqual([all, share, undefined]);
});

test("the end of a canary can be asked for again when control was away, and ends its share then", async () => {
  supervisor = await startTestSupervisor();
  const { built, client, call, control, instances } = supervisor;
  built.write("cart", wellBehavedService("v2"));
  await client.startCanary(canaryOf("v2", 50), call());
  const request = { requestId: requestId(), service: "cart" };
  const { clearSplit } = control;
  control.clearSplit = () => Promise.reject(meshFailure("SERVICE_UNAVAILABLE", "control is away"));
  await expect(client.endCanary(request, call())).rejects.toMatchObject({ reason: "SERVICE_UNAVAILABLE" });
  expect(control.splits.at(-1)).not.toBe(undefined);
  control.clearSplit = clearSplit;
  await client.endCanary(request, call());
  expect(control.splits.at(-1)).toBe(undefined);
  expect(instances()).toEqual(["cart-1 v1"]);
});

test("a canary ends with its share, and one that cannot start leaves none", async () => {
  supervisor = await startTestSupervisor();
  const { built, client, call, control } = supervisor;
  built.write("cart", wellBehavedService("v2"));
  await client.startCanary(canaryOf("v2", 100), call());
  const end = () => client.endCanary({ requestId: requestId(), service: "cart" }, call());
  expect((await end()).processes).toMatchObject([{ name: "cart-1", version: "v1" }]);
  expect(control.splits.at(-1)).toBe(undefined);
  built.write("cart", "process.exitCode = 3;");
  await expect(client.startCanary(canaryOf("v3", 50), call())).rejects.toMatchObject({ reason: "INSTANCE_FAILED" });
  expect(control.splits.at(-1)).toBe(undefined);
  expect((await end()).processes).toMatchObject([{ name: "cart-1", version: "v1" }]);
});
