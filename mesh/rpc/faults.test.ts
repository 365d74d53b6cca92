import { afterEach, describe, expect, test } from "vitest";
import type { TrafficFault } from "#gen/mesh/v1/discovery_service.ts";
import { parseAddress } from "#mesh/discovery/endpoints.ts";
import { movingEndpoints } from "#mesh/discovery/moving-endpoints.fixture.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import type { OwnCall } from "#mesh/rpc/call.ts";
import type { LogLine } from "#testing/mesh.ts";
import { chooseFaults, injectedFailure } from "./faults.ts";
import { addressOf, createInstances, keptLog } from "./instances.fixture.ts";
import { failureOf, type ProbeClient, ProbeService, probeRequest, probeResponse } from "./probe.fixture.ts";

const UNAVAILABLE = 14;

function fault(fields: Partial<TrafficFault> = {}): TrafficFault {
  return { faultId: "flt_1", callers: [], methods: [], percent: 100, delay: undefined, statusCode: 0, ...fields };
}

const delayOf = (ms: number) => ({ seconds: BigInt(Math.trunc(ms / 1_000)), nanos: (ms % 1_000) * 1e6 });

describe("which faults hit a call", () => {
  const call = { caller: "orders", path: "/shop.cart.v1.CartService/GetCart" };
  const hit = (given: readonly TrafficFault[], random = 0) => chooseFaults(given, call, () => random);

  test("is none when there is none", () => {
    expect(hit([])).toBeUndefined();
  });

  test.each<[string, Partial<TrafficFault>, boolean]>([
    ["all", {}, true],
    ["its caller", { callers: ["cart", "orders"] }, true],
    ["other callers", { callers: ["cart"] }, false],
    ["its method", { methods: [call.path] }, true],
    ["other methods", { methods: ["/shop.cart.v1.CartService/AddItem"] }, false],
    ["its caller, but other methods", { callers: ["orders"], methods: ["/a.B/C"] }, false],
  ])("is decided by whom they name: %s", (_, fields, hits) => {
    expect(hit([fault({ statusCode: UNAVAILABLE, ...fields })]) !== undefined).toBe(hits);
  });

  test("is decided by chance for the rest", () => {
    const half = [fault({ percent: 50, statusCode: UNAVAILABLE })];
    expect(hit(half, 0.49)).toBeDefined();
    expect(hit(half, 0.5)).toBeUndefined();
    expect(hit([fault({ percent: 100 })], 0.999_999)).toBeDefined();
  });

  test("adds up to the longest delay and the first failure", () => {
    const injection = hit([
      fault({ faultId: "flt_1", delay: delayOf(250) }),
      fault({ faultId: "flt_2", statusCode: 8 }),
      fault({ faultId: "flt_3", delay: delayOf(1_500), statusCode: UNAVAILABLE }),
    ]);
    expect(injection).toEqual({ faultIds: ["flt_1", "flt_2", "flt_3"], delayMs: 1_500, statusCode: 8 });
  });

  test("leaves a call alone that only has to wait, but for the wait", () => {
    expect(hit([fault({ delay: delayOf(20) })])).toEqual({ faultIds: ["flt_1"], delayMs: 20, statusCode: undefined });
  });
});

test.each([
  [1, "CANCELLED", "CANCELLED"],
  [4, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"],
  [5, "NOT_FOUND", "INTERNAL"],
  [8, "RESOURCE_EXHAUSTED", "OVERLOADED"],
  [13, "INTERNAL", "INTERNAL"],
  [14, "UNAVAILABLE", "SERVICE_UNAVAILABLE"],
])("status %i is injected as %s with the reason %s of the mesh", (code, name, reason) => {
  const failure = injectedFailure(code, ["flt_7"], "shop.cart.v1.CartService");
  expect(failure).toMatchObject({ code: name, reason, domain: "shop.cart.v1.CartService", remote: true });
  expect(failure.message).toMatch(/injected.*flt_7/);
});

describe("a caller", () => {
  const instances = createInstances();
  afterEach(() => instances.close());

  interface Setup {
    readonly caller: MeshNode;
    readonly probe: ProbeClient;
    readonly served: readonly string[];
    readonly lines: readonly LogLine[];
    setFaults(...faults: readonly TrafficFault[]): void;
    call(timeoutMs?: number): OwnCall;
  }

  async function start(): Promise<Setup> {
    const served: string[] = [];
    const server = await instances.serve({
      async read() {
        served.push("read");
        return probeResponse();
      },
      async *watch() {
        served.push("watch");
        yield probeResponse();
      },
      async collect() {
        served.push("collect");
        return probeResponse();
      },
    });
    const endpoints = [parseAddress(addressOf(server))];
    const cluster = movingEndpoints({ endpoints, faults: [] });
    const { log, lines } = keptLog();
    const caller = instances.node("gateway", { endpoints: cluster, log });
    return {
      caller,
      probe: caller.client(ProbeService),
      served,
      lines,
      setFaults: (...faults) => cluster.set({ endpoints, faults }),
      call: (timeoutMs = 10_000) => caller.background({ name: "test", timeoutMs }),
    };
  }

  test("fails calls of all kinds before they leave, once, and says so", async () => {
    const { probe, served, lines, setFaults, call } = await start();
    setFaults(fault({ statusCode: UNAVAILABLE, callers: ["gateway"] }));
    const iterate = async (): Promise<void> => {
      for await (const _ of probe.watch(probeRequest(), call()));
    };
    const upload = async function* () {
      yield probeRequest();
    };
    for (const answer of [probe.read(probeRequest(), call()), iterate(), probe.collect(upload(), call())]) {
      const failure = await failureOf(answer);
      expect(failure).toMatchObject({ code: "UNAVAILABLE", reason: "SERVICE_UNAVAILABLE", remote: true });
      expect(failure.message).toContain("injected");
    }
    expect(served).toEqual([]);
    const told = lines.filter(({ msg }) => msg === "fault injected");
    expect(told).toHaveLength(3);
    expect(told[0]).toMatchObject({ method: "Read", faultIds: ["flt_1"], code: "UNAVAILABLE" });
  });

  test("follows the faults as they come and go", async () => {
    const { probe, setFaults, call } = await start();
    await probe.read(probeRequest(), call());
    setFaults(fault({ statusCode: 8 }));
    expect(await failureOf(probe.read(probeRequest(), call()))).toMatchObject({ reason: "OVERLOADED" });
    setFaults();
    await probe.read(probeRequest(), call());
  });

  test("delays a call and then makes it", async () => {
    const { probe, served, setFaults, call } = await start();
    setFaults(fault({ delay: delayOf(50) }));
    const startedAt = performance.now();
    await probe.read(probeRequest(), call());
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(49);
    expect(served).toEqual(["read"]);
  });

  test("delays no call beyond its deadline", async () => {
    const { probe, served, setFaults, call } = await start();
    setFaults(fault({ delay: delayOf(60_000) }));
    expect(await failureOf(probe.read(probeRequest(), call(50)))).toMatchObject({ code: "DEADLINE_EXCEEDED" });
    expect(served).toEqual([]);
  });

  test("stops to delay a call that is given up", async () => {
    const { caller, probe, served, setFaults } = await start();
    setFaults(fault({ delay: delayOf(60_000) }));
    const giveUp = new AbortController();
    const call = caller.background({ name: "test", timeoutMs: 10_000, signal: giveUp.signal });
    const answer = failureOf(probe.read(probeRequest(), call));
    giveUp.abort();
    expect(await answer).toMatchObject({ code: "CANCELLED" });
    expect(served).toEqual([]);
  });
});
