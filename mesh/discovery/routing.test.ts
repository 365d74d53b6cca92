import { setImmediate as nextTurn } from "node:timers/promises";
import { Metadata } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { implement } from "#mesh/contract/contract.ts";
import type { RunningServer } from "#mesh/mesh.ts";
import { createLogger } from "#mesh/telemetry/log.ts";
import { createTestNode } from "#testing/mesh.ts";
import { ProbeService, probeDescriptors, probeHandlers, probeRequest, probeResponse } from "../rpc/probe.fixture.ts";
import type { Cluster } from "./endpoints.ts";
import { type MovingEndpoints, movingEndpoints } from "./moving-endpoints.fixture.ts";
import { createRouting } from "./routing.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const log = createLogger({ workload: "test", instance: "1", version: "test", level: "silent" });
const parts = { log, descriptors: probeDescriptors, startupGraceMs: 0 };

/** A server that says its name. */
async function serve(text: string): Promise<RunningServer> {
  const node = createTestNode("probe", parts);
  const handlers = probeHandlers({ read: async () => probeResponse({ text }) });
  const server = await node.serve({ services: [implement(ProbeService, handlers)] });
  cleanUps.push(() => server.close());
  return server;
}

/** Asks who answers. */
function asker(endpoints: MovingEndpoints): () => Promise<string> {
  const caller = createTestNode("gateway", { ...parts, endpoints });
  cleanUps.push(() => caller.close());
  const probe = caller.client(ProbeService);
  return async () => {
    const answer = await probe.try.read(probeRequest(), caller.background({ name: "test", timeoutMs: 10_000 }));
    return answer.ok ? answer.value.text : answer.error.reason;
  };
}

function clusterOf(versions: readonly (readonly [RunningServer, string])[], percent: Record<string, number>): Cluster {
  const endpoints = versions.map(([{ host, port }, version]) => ({ host, port, version }));
  const weights = Object.entries(percent).map(([version, share]) => ({ version, percent: share }));
  return { endpoints, split: { headerMatches: [], weights }, faults: [] };
}

async function answersOf(ask: () => Promise<string>): Promise<Set<string>> {
  return new Set(await Promise.all(Array.from({ length: 20 }, ask)));
}

test("calls go to the version that a split names at once, and to the others while it has nobody", async () => {
  const [a, b, c] = [await serve("a"), await serve("b"), await serve("c")];
  const versions = [[a, "v1"], [b, "v1"], [c, "v2"]] as const; // biome-ignore format: a table
  const endpoints = movingEndpoints(clusterOf(versions, { v1: 0, v2: 100 }));
  const ask = asker(endpoints);
  await expect.poll(() => answersOf(ask)).toEqual(new Set(["c"]));
  endpoints.set(clusterOf(versions, { v1: 100, v2: 0 }));
  await expect.poll(() => answersOf(ask)).toEqual(new Set(["a", "b"]));
  endpoints.set(clusterOf(versions, { v1: 0, v2: 100 }));
  await nextTurn();
  expect(await answersOf(ask)).toEqual(new Set(["c"]));
  await c.close();
  expect(await answersOf(ask)).toEqual(new Set(["a", "b"]));
});

test("a channel asks where its service is once, however often connections break", async () => {
  const endpoints = movingEndpoints();
  const ask = asker(endpoints);
  expect(await ask()).toBe("SERVICE_UNAVAILABLE");
  const { watches } = endpoints;
  for (let i = 0; i < 3; i++) {
    const server = await serve("here");
    endpoints.set(clusterOf([[server, "v1"]], { v1: 100 }));
    await expect.poll(ask).toBe("here");
    await server.close();
    // An answer to each question would make the channel ask again, and this process do nothing else.
    for (let turn = 0; turn < 100; turn++) await nextTurn();
  }
  expect(endpoints.watches).toBe(watches);
});

test("a header chooses the version of a call, where instances of it are there", () => {
  const split = {
    headerMatches: [
      { header: "x-canary", value: "yes", version: "v2" },
      { header: "x-canary", value: "gone", version: "v3" },
    ],
    weights: [{ version: "v1", percent: 100 }],
  };
  const endpoints = [1, 2].map((n) => ({ host: "127.0.0.1", port: n, version: `v${n}` }));
  const { selector, follow } = createRouting();
  const versions = follow({ endpoints, split, faults: [] });
  const versionOf = (header?: string): unknown => {
    const metadata = new Metadata();
    if (header !== undefined) metadata.set("x-canary", header);
    return selector.invoke("/a/B", metadata, 0).pickInformation.version;
  };
  expect(versions).toEqual(new Set(["v2", "v1"]));
  expect([versionOf(), versionOf("yes"), versionOf("no"), versionOf("gone")]).toEqual(["v1", "v2", "v1", "v1"]);
});
