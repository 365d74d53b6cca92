import { constants, type ServerHttp2Stream } from "node:http2";
import { status as codes, Metadata } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import type { TrafficFault } from "#gen/mesh/v1/discovery_service.ts";
import { type Endpoint, parseAddress, plainCluster } from "#mesh/discovery/endpoints.ts";
import { movingEndpoints } from "#mesh/discovery/moving-endpoints.fixture.ts";
import { BUDGET_TOKENS } from "#mesh/rpc/retry-rules.ts";
import { answerOk, type RawBackend, startRawBackend } from "./testing/raw-backend.ts";
import {
  createCleanup,
  errorInfoOf,
  eventually,
  rejection,
  startTestGateway,
  type TestGateway,
  type TestGatewayOptions,
  toyClient,
  unary,
} from "./testing/setup.ts";
import { startToyBackend, type ToyBackend, toyContractOf } from "./testing/toy-backend.ts";

// What callers notice of instances that fail, when the contract says that their calls may happen twice.

const cleanup = createCleanup();
afterEach(() => cleanup.run());

const repeatable = [toyContractOf("NO_SIDE_EFFECTS")];
const EMPTY = Buffer.alloc(0);

/** A gateway before these instances, connected to all of them. */
async function startBefore(
  instances: readonly { readonly address: string }[],
  options: TestGatewayOptions = {},
): Promise<TestGateway> {
  const targets = { toy: instances.map(({ address }) => address) };
  const gateway = await startTestGateway(cleanup, { targets, contracts: repeatable, ...options });
  await eventually(() => gateway.lines.filter(({ message }) => message === "backend connected").length).toBe(
    instances.length,
  );
  return gateway;
}

async function startToys(count: number): Promise<readonly ToyBackend[]> {
  const toys = await Promise.all(Array.from({ length: count }, () => startToyBackend()));
  for (const toy of toys) cleanup.add(() => toy.kill());
  return toys;
}

/** Answers with a status alone. */
function answerUnavailable(stream: ServerHttp2Stream, headers: Readonly<Record<string, string>> = {}): void {
  const status = { "grpc-status": String(codes.UNAVAILABLE), ...headers };
  stream.respond({ ":status": 200, "content-type": "application/grpc", ...status }, { endStream: true });
  stream.resume();
}

describe("a call is sent to another instance", () => {
  test("when the connection to the first is lost before it answers", async () => {
    const dying: RawBackend = await startRawBackend(cleanup, () => {
      for (const session of dying.sessions) session.destroy();
    });
    const [staying] = await startToys(1);
    const gateway = await startBefore([dying, staying as ToyBackend]);
    const client = toyClient(cleanup, gateway.address);
    for (let i = 0; i < 4; i++) expect((await unary(client, "echo", Buffer.from("x"))).bytes.toString()).toBe("x");
    expect(dying.seen.length).toBeGreaterThan(0);
  });

  test("when the first is not available, and says so in its first word", async () => {
    const away = await startRawBackend(cleanup, (stream) => answerUnavailable(stream));
    const [staying] = await startToys(1);
    const gateway = await startBefore([away, staying as ToyBackend]);
    const client = toyClient(cleanup, gateway.address);
    for (let i = 0; i < 4; i++) await unary(client, "echo", EMPTY);
    expect(away.seen.length).toBeGreaterThan(0);
  });

  test("with the time that is left", async () => {
    const away = await startRawBackend(cleanup, (stream) => answerUnavailable(stream));
    const gateway = await startBefore([away]);
    const metadata = new Metadata();
    metadata.set("grpc-timeout", "5S");
    await rejection(unary(toyClient(cleanup, gateway.address), "echo", EMPTY, metadata));
    const [first, second, third] = away.seen.map((headers) => String(headers["grpc-timeout"]));
    expect(first).toBe("5S");
    for (const later of [second, third]) {
      expect(later).toMatch(/^\d+m$/);
      expect(Number.parseInt(later ?? "", 10)).toBeLessThan(5_000);
    }
  });
});

describe("a call is not sent again", () => {
  async function attemptsAt(
    onStream: (stream: ServerHttp2Stream) => void,
    options: TestGatewayOptions & { readonly timeout?: string } = {},
  ): Promise<{ readonly attempts: number; readonly code: number }> {
    const backend = await startRawBackend(cleanup, onStream);
    const gateway = await startBefore([backend], options);
    const metadata = new Metadata();
    if (options.timeout !== undefined) metadata.set("grpc-timeout", options.timeout);
    const { code } = await rejection(unary(toyClient(cleanup, gateway.address), "echo", EMPTY, metadata));
    return { attempts: backend.seen.length, code };
  }

  test("more than twice", async () => {
    const seen = await attemptsAt((stream) => answerUnavailable(stream));
    expect(seen).toEqual({ attempts: 3, code: codes.UNAVAILABLE });
  });

  test("when it may have had its effect", async () => {
    const contracts = [toyContractOf("UNKNOWN")];
    const seen = await attemptsAt((stream) => answerUnavailable(stream), { contracts });
    expect(seen).toEqual({ attempts: 1, code: codes.UNAVAILABLE });
  });

  test("when the callee pushes back", async () => {
    const seen = await attemptsAt((stream) => answerUnavailable(stream, { "grpc-retry-pushback-ms": "-1" }));
    expect(seen).toEqual({ attempts: 1, code: codes.UNAVAILABLE });
  });

  test("when its answer has begun", async () => {
    const seen = await attemptsAt((stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "14" }));
      stream.end();
    });
    expect(seen).toEqual({ attempts: 1, code: codes.UNAVAILABLE });
  });

  test("when there is no time left for it", async () => {
    const seen = await attemptsAt((stream) => answerUnavailable(stream), { timeout: "20m" });
    expect(seen).toEqual({ attempts: 1, code: codes.UNAVAILABLE });
  });

  test("when its request is too long to be held", async () => {
    const backend = await startRawBackend(cleanup, (stream) => {
      stream.resume();
      stream.once("end", () => answerUnavailable(stream));
    });
    const gateway = await startBefore([backend], { limits: { replayBytes: 10 } });
    await rejection(unary(toyClient(cleanup, gateway.address), "echo", Buffer.alloc(11)));
    expect(backend.seen).toHaveLength(1);
  });

  test("when it was reset as a single call", async () => {
    const backend = await startRawBackend(cleanup, (stream) => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
    const gateway = await startBefore([backend]);
    await rejection(unary(toyClient(cleanup, gateway.address), "echo", EMPTY));
    expect(backend.seen).toHaveLength(1);
  });
});

test("a brown-out is not amplified", async () => {
  const CALLS = 500;
  let arrived = 0;
  const backend = await startRawBackend(cleanup, (stream) => {
    arrived += 1;
    if (arrived % 2 === 0) answerOk(stream);
    else answerUnavailable(stream);
  });
  const gateway = await startBefore([backend]);
  const client = toyClient(cleanup, gateway.address);
  let begun = 0;
  const worker = async (): Promise<void> => {
    while (begun < CALLS) {
      begun += 1;
      await unary(client, "echo", EMPTY).catch(() => undefined);
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  expect(arrived).toBeGreaterThan(CALLS);
  expect(arrived).toBeLessThanOrEqual(CALLS * 1.1 + BUDGET_TOKENS);
});

test("an instance that answers nobody is left out for a while, and never the last one", async () => {
  const away = await startRawBackend(cleanup, (stream) => answerUnavailable(stream));
  const [staying] = await startToys(1);
  const breaker = { failures: 3, openMs: 60_000, maxOpenMs: 60_000 };
  const gateway = await startBefore([away, staying as ToyBackend], { limits: { breaker } });
  const client = toyClient(cleanup, gateway.address);
  for (let i = 0; i < 20; i++) await unary(client, "echo", EMPTY);
  expect(away.seen).toHaveLength(3);
  staying?.kill();
  await eventually(async () => {
    await unary(client, "echo", EMPTY).catch(() => undefined);
    return away.seen.length;
  }).toBeGreaterThan(3);
});

describe("versions", () => {
  const split = {
    headerMatches: [{ header: "x-canary", value: "yes", version: "v2" }],
    weights: [{ version: "v1", percent: 100 }],
  };

  async function startVersions() {
    const [one, two] = await startToys(2);
    const at = (backend: ToyBackend | undefined, version: string): Endpoint => ({
      ...parseAddress(backend?.address ?? ""),
      version,
    });
    const [v1, v2] = [at(one, "v1"), at(two, "v2")];
    const endpoints = movingEndpoints({ endpoints: [v1, v2], split, faults: [] });
    const gateway = await startTestGateway(cleanup, { endpoints });
    await eventually(() => gateway.lines.filter(({ message }) => message === "backend connected").length).toBe(2);
    const client = toyClient(cleanup, gateway.address);
    const canary = new Metadata();
    canary.set("x-canary", "yes");
    const counts = (): readonly number[] => [one?.seen.length ?? 0, two?.seen.length ?? 0];
    return { endpoints, v1, v2, client, canary, counts };
  }

  test("get the calls that weights and headers send to them", async () => {
    const { client, canary, counts } = await startVersions();
    for (let i = 0; i < 5; i++) await unary(client, "echo", EMPTY);
    for (let i = 0; i < 3; i++) await unary(client, "echo", EMPTY, canary);
    expect(counts()).toEqual([5, 3]);
  });

  test("that have no instance leave their calls to the others", async () => {
    const { endpoints, v1, client, canary, counts } = await startVersions();
    endpoints.set({ endpoints: [v1], split, faults: [] });
    await unary(client, "echo", EMPTY, canary);
    expect(counts()).toEqual([1, 0]);
  });

  test("take turns when there is no split any more", async () => {
    const { endpoints, v1, v2, client, counts } = await startVersions();
    endpoints.set(plainCluster([v1, v2]));
    for (let i = 0; i < 4; i++) await unary(client, "echo", EMPTY);
    expect(counts()).toEqual([2, 2]);
  });
});

describe("an injected fault", () => {
  const fault = { faultId: "flt_1", callers: ["gateway"], methods: [], percent: 100, delay: undefined, statusCode: 0 };

  async function startFaulty(...faults: readonly TrafficFault[]) {
    const [backend] = await startToys(1);
    const endpoints = movingEndpoints({ endpoints: [parseAddress(backend?.address ?? "")], faults });
    const gateway = await startTestGateway(cleanup, { endpoints, contracts: repeatable });
    const client = toyClient(cleanup, gateway.address);
    const heal = (): void => endpoints.set(plainCluster([parseAddress(backend?.address ?? "")]));
    return { backend: backend as ToyBackend, gateway, client, heal };
  }

  test("fails a call before it leaves, and says so", async () => {
    const { backend, gateway, client, heal } = await startFaulty({ ...fault, statusCode: codes.UNAVAILABLE });
    const error = await rejection(unary(client, "echo", EMPTY));
    expect(error.code).toBe(codes.UNAVAILABLE);
    expect(error.details).toContain("injected");
    expect(errorInfoOf(error)).toMatchObject({ reason: "SERVICE_UNAVAILABLE", domain: "toy.v1.ToyService" });
    expect(backend.seen).toHaveLength(0);
    expect(gateway.lines).toContainEqual(expect.objectContaining({ message: "fault injected", faultIds: ["flt_1"] }));
    heal();
    await unary(client, "echo", EMPTY);
  });

  test("delays a call, and its callee is told what is left of its time", async () => {
    const backend = await startRawBackend(cleanup, answerOk);
    const delayed = { ...fault, delay: { seconds: 0n, nanos: 100_000_000 } };
    const endpoints = movingEndpoints({ endpoints: [parseAddress(backend.address)], faults: [delayed] });
    const gateway = await startTestGateway(cleanup, { endpoints });
    const metadata = new Metadata();
    metadata.set("grpc-timeout", "5S");
    await unary(toyClient(cleanup, gateway.address), "echo", EMPTY, metadata);
    const [headers] = backend.seen;
    expect(Number.parseInt(String(headers?.["grpc-timeout"]), 10)).toBeLessThanOrEqual(4_901);
  });

  test("delays no call beyond the time that it has", async () => {
    const { backend, client } = await startFaulty({ ...fault, delay: { seconds: 60n, nanos: 0 } });
    const metadata = new Metadata();
    metadata.set("grpc-timeout", "50m");
    expect((await rejection(unary(client, "echo", EMPTY, metadata))).code).toBe(codes.DEADLINE_EXCEEDED);
    expect(backend.seen).toHaveLength(0);
  });

  test("lets go of a caller that leaves meanwhile", async () => {
    const { backend, gateway, client } = await startFaulty({ ...fault, delay: { seconds: 60n, nanos: 0 } });
    const waiting = unary(client, "echo", EMPTY);
    await eventually(() => gateway.lines.some(({ message }) => message === "fault injected")).toBe(true);
    waiting.call.cancel();
    expect((await rejection(waiting)).code).toBe(codes.CANCELLED);
    await eventually(() => gateway.lines.some(({ code }) => code === "CANCELLED")).toBe(true);
    expect(backend.seen).toHaveLength(0);
  });
});
