import { afterEach, expect, test } from "vitest";
import { implement } from "#mesh/contract/contract.ts";
import { createMeshNode, type RunningServer } from "#mesh/mesh.ts";
import { createLogger } from "#mesh/telemetry/log.ts";
import { testConfig } from "#testing/mesh.ts";
import { ProbeService, probeDescriptors, probeHandlers, probeRequest, probeResponse } from "../rpc/probe.fixture.ts";
import { type Cluster, type EndpointSource, parseAddress, plainCluster, staticEndpoints } from "./endpoints.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const log = createLogger({ workload: "test", instance: "1", version: "test", level: "silent" });
const parts = { log, descriptors: probeDescriptors, startupGraceMs: 0 };

async function serve(text: string): Promise<RunningServer> {
  const node = createMeshNode("probe", testConfig(), parts);
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

test("calls follow the instances as they come, move and go", async () => {
  const listeners = new Set<(cluster: Cluster) => void>();
  let known = plainCluster([]);
  const endpoints: EndpointSource = {
    watch(_, listener) {
      listeners.add(listener);
      listener(known);
      return () => listeners.delete(listener);
    },
  };
  const move = (servers: readonly RunningServer[]): void => {
    known = plainCluster(servers.map(({ host, port }) => ({ host, port })));
    for (const listener of listeners) listener(known);
  };
  const caller = createMeshNode("gateway", testConfig(), { ...parts, endpoints });
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
