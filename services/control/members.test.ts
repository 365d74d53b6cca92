import { setTimeout as delay } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { InstanceState } from "#gen/mesh/v1/instance.ts";
import { RegistryService } from "#gen/mesh/v1/registry_service.contract.ts";
import type { RegisteredInstance } from "#gen/mesh/v1/registry_service.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import { type ProbeHandlers, ProbeService, probeRequest, probeResponse } from "#mesh/rpc/probe.fixture.ts";
import { callSteadily, type Members, startMembers } from "./testing/members.ts";

// Whole processes of the mesh, but for the process, and a real control plane: how they find each other, and leave.

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function start(): Promise<Members> {
  const members = await startMembers();
  cleanUps.push(() => members.close());
  return members;
}

/** Says its name after a moment. */
function named(text: string): ProbeHandlers {
  const answer = async () => {
    await delay(2);
    return probeResponse({ text });
  };
  return { read: answer, change: answer };
}

async function listed(operator: MeshNode): Promise<readonly RegisteredInstance[]> {
  const call = operator.background({ name: "test", timeoutMs: 10_000 });
  return (await operator.client(RegistryService).listInstances({ service: "" }, call)).instances;
}

const patience = { timeout: 20_000 };

test("an instance is known with its name, its version, its address and what it has done", async () => {
  const members = await start();
  const server = await members.serve("7", named("a"), "v3");
  const [{ instance } = { instance: undefined }] = await listed(members.node("operator"));
  expect(instance).toMatchObject({ name: "probe-7", service: "probe", version: "v3", host: "127.0.0.1" });
  expect(instance?.port).toBe(server.port);
  const caller = members.node("gateway");
  const probe = caller.client(ProbeService);
  await probe.read(probeRequest(), caller.background({ name: "test", timeoutMs: 10_000 }));
  await expect
    .poll(async () => (await listed(members.node("operator")))[0]?.stats?.callsTotal, patience)
    .toBeGreaterThanOrEqual(1n);
});

test("no call fails while an instance leaves, another comes, and control is away and comes back", async () => {
  const members = await start();
  const first = await members.serve("probe-1", named("1"));
  const second = await members.serve("probe-2", named("2"));
  const calls = callSteadily(members.node("gateway"), 64);
  const answered = (name: string) => expect.poll(() => calls.answers(name), patience);
  await answered("1").toBeGreaterThan(100);
  await answered("2").toBeGreaterThan(100);

  const third = await members.serve("probe-3", named("3"));
  await answered("3").toBeGreaterThan(100);
  await first.close();
  expect(calls.failures).toEqual([]);

  await members.stopControl();
  await answered("3").toBeGreaterThan(calls.answers("3") + 100);
  // Nobody can be told; connections end in good order all the same.
  await second.close();
  expect(calls.failures).toEqual([]);

  await members.startControl();
  await expect.poll(async () => (await listed(members.node("operator"))).length, patience).toBe(2);
  await members.serve("probe-4", named("4"));
  await answered("4").toBeGreaterThan(100);
  await third.close();
  await answered("4").toBeGreaterThan(calls.answers("4") + 100);
  await calls.stop();
  expect(calls.failures).toEqual([]);
});

test("an instance that has left is called no more, although it still takes calls", async () => {
  const members = await start();
  await members.serve("probe-1", named("1"));
  const { port } = await members.serveUnknown(named("2"));
  const registration = members.node("probe", "probe-2").register(port);
  const calls = callSteadily(members.node("gateway"), 64);
  await expect.poll(() => calls.answers("2"), patience).toBeGreaterThan(100);

  await registration.leave();
  const [{ state } = { state: undefined }] = (await listed(members.node("operator"))).slice(1);
  expect(state).toBe(InstanceState.DRAINING);
  // What was under way is answered within one round.
  const soon = calls.answers("1");
  await expect.poll(() => calls.answers("1"), patience).toBeGreaterThan(soon + 200);
  const left = calls.answers("2");
  await expect.poll(() => calls.answers("1"), patience).toBeGreaterThan(soon + 600);
  expect(calls.answers("2")).toBe(left);
  await calls.stop();
  expect(calls.failures).toEqual([]);
});

test("an instance whose process is gone is known to be gone, and one that comes in its place is found", async () => {
  const members = await start();
  const node = members.node("probe", "probe-1");
  const { port } = await members.serveUnknown(named("1"));
  const registration = node.register(port);
  await registration.registered(10_000);
  const operator = members.node("operator");
  expect(await listed(operator)).toHaveLength(1);
  registration.close();
  await expect.poll(async () => (await listed(operator)).length, patience).toBe(0);
  await members.serve("probe-1", named("again"));
  const caller = members.node("gateway");
  const answer = await caller
    .client(ProbeService)
    .read(probeRequest(), caller.background({ name: "test", timeoutMs: 10_000 }));
  expect(answer.text).toBe("again");
});
