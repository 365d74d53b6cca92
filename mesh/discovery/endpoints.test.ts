import { afterEach, expect, test } from "vitest";
import { implement } from "#mesh/contract/contract.ts";
import type { RunningServer } from "#mesh/mesh.ts";
import { createLogger } from "#mesh/telemetry/log.ts";
import { createTestNode } from "#testing/mesh.ts";
import { ProbeService, probeDescriptors, probeHandlers, probeRequest, probeResponse } from "../rpc/probe.fixture.ts";
import { overlay, parseAddress, plainCluster, staticEndpoints } from "./endpoints.ts";
import { movingEndpoints } from "./moving-endpoints.fixture.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const log = createLogger({ workload: "test", instance: "1", version: "test", level: "silent" });
const parts = { log, descriptors: probeDescriptors, startupGraceMs: 0 };

async function serve(text: string): Promise<RunningServer> {
  const node = createTestNode("probe", parts);
  const handlers = probeHandlers({ read: async () => probeResponse({ text }) });
  const server = await node.serve({ services: [implement(ProbeService, handlers)] });
  cleanUps.push(() => server.close());
  return server;
}

test.each([
  ["127.0.0.1:4001", { host: "127.0.0.1", port: 4001 }],
  ["[::1]:4001", { host: "::1", port: 4001 }],
  ["catalog.shop.svc:80", { host: "catalog.shop.svc", port: 80 }],
])("reads the address %s", (address, endpoint) => {
  expect(parseAddress(address)).toEqual(endpoint);
});

test.each(["127.0.0.1", ":80", "host:", "host:0", "host:70000", "::1:80", "a b:80"])(
  "refuses the address %s",
  (address) => {
    expect(() => parseAddress(address)).toThrow(TypeError);
    expect(() => staticEndpoints({ catalog: [address] })).toThrow(TypeError);
  },
);

test("a table stands above what another source says, for the services that it names", () => {
  const below = staticEndpoints({ catalog: ["127.0.0.1:1"], cart: ["127.0.0.1:2"] });
  const endpoints = overlay({ catalog: ["127.0.0.1:3"] }, below);
  const portsOf = (owner: string): number[] => {
    const ports: number[] = [];
    endpoints.watch(owner, (cluster) => ports.push(...cluster.endpoints.map(({ port }) => port)));
    return ports;
  };
  expect([portsOf("catalog"), portsOf("cart"), portsOf("orders")]).toEqual([[3], [2], []]);
});

test("calls follow the instances as they come, move and go", async () => {
  const endpoints = movingEndpoints();
  const move = (servers: readonly RunningServer[]): void =>
    endpoints.set(plainCluster(servers.map(({ host, port }) => ({ host, port }))));
  const caller = createTestNode("gateway", { ...parts, endpoints });
  cleanUps.push(() => caller.close());
  const probe = caller.client(ProbeService);
  const ask = async (): Promise<string> => {
    const answer = await probe.try.read(probeRequest(), caller.background({ name: "test", timeoutMs: 10_000 }));
    return answer.ok ? answer.value.text : answer.error.reason;
  };
  const a = await serve("a");
  const b = await serve("b");

  expect(await ask()).toBe("SERVICE_UNAVAILABLE");
  move([a]);
  await expect.poll(ask).toBe("a");
  move([b]);
  await expect.poll(ask).toBe("b");
  move([a, b]);
  await expect.poll(async () => new Set([await ask(), await ask()]).size).toBe(2);
  move([]);
  await expect.poll(ask).toBe("SERVICE_UNAVAILABLE");
  move([b]);
  await expect.poll(ask).toBe("b");
});
