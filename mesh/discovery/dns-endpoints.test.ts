import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createLogger } from "#mesh/telemetry/log.ts";
import { createTestNode } from "#testing/mesh.ts";
import { ProbeService, probeDescriptors, probeHandlers, probeRequest, probeResponse } from "../rpc/probe.fixture.ts";
import { dnsEndpoints } from "./dns-endpoints.ts";

describe("names that are looked up", () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] }));
  afterEach(() => vi.useRealTimers());

  function start(lookup: (host: string) => Promise<readonly string[]>) {
    const warnings: unknown[] = [];
    const log = { warn: (...line: unknown[]) => warnings.push(line) };
    const source = dnsEndpoints({ target: "{service}.shop.svc:9000", log, lookup });
    const told: (readonly string[])[] = [];
    source.watch("cart", ({ endpoints }) => told.push(endpoints.map(({ host, port }) => `${host}:${port}`)));
    return { source, told, warnings };
  }

  const round = () => vi.advanceTimersByTimeAsync(5_000);

  test("are instances, each address one, followed as they change", async () => {
    const hosts: string[] = [];
    let addresses = ["10.0.0.1"];
    const { source, told } = start(async (host) => {
      hosts.push(host);
      return addresses;
    });
    await round();
    addresses = ["10.0.0.2", "10.0.0.1"];
    await round();
    addresses = ["10.0.0.1", "10.0.0.2"];
    await round();
    expect(new Set(hosts)).toEqual(new Set(["cart.shop.svc"]));
    expect(told).toEqual([["10.0.0.1:9000"], ["10.0.0.1:9000", "10.0.0.2:9000"]]);
    const late: number[] = [];
    source.watch("cart", ({ endpoints }) => late.push(endpoints.length));
    expect(late).toEqual([2]);
    source.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("keep what was found while they cannot be looked up, and that is logged once", async () => {
    let fails = false;
    const { told, warnings, source } = start(async () => {
      if (fails) throw new Error("no name server");
      return ["10.0.0.1"];
    });
    await round();
    fails = true;
    await round();
    await round();
    expect(told).toEqual([["10.0.0.1:9000"]]);
    expect(warnings).toHaveLength(1);
    source.close();
  });

  test("that nobody knows are told to be nowhere, so that calls fail instead of waiting", async () => {
    const { told, source } = start(async () => {
      throw new Error("no such name");
    });
    await round();
    expect(told).toEqual([[]]);
    source.close();
  });

  test("are asked for once at a time, however long that takes", async () => {
    let asked = 0;
    const { source } = start(() => {
      asked += 1;
      return new Promise(() => {});
    });
    await round();
    await round();
    expect(asked).toBe(1);
    source.close();
  });
});

test("a process that finds others by names needs no control plane, and registers nowhere", async () => {
  const log = createLogger({ workload: "test", instance: "1", version: "test", level: "silent" });
  const parts = { log, descriptors: probeDescriptors, startupGraceMs: 0 };
  const owner = "localhost"; // a name that this machine resolves
  const Named = { ...ProbeService, owner };
  const handlers = probeHandlers({ read: async () => probeResponse({ text: "found" }) });
  const server = await createTestNode(owner, parts).serve({ services: [{ contract: Named, handlers }] });
  const settings = { discovery: "dns", dnsTarget: `{service}:${server.port}`, control: "127.0.0.1:1" } as const;
  const caller = createTestNode("gateway", parts, 0, settings);
  try {
    const call = caller.background({ name: "test", timeoutMs: 10_000 });
    expect((await caller.client(Named).read(probeRequest(), call)).text).toBe("found");
    expect(caller.register(server.port).isRegistered()).toBe(false);
  } finally {
    caller.close();
    await server.close();
  }
});
