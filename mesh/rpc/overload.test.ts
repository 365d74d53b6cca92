import { constants } from "node:http2";
import { afterEach, describe, expect, test, vi } from "vitest";
import { HealthClient, HealthCheckResponse_ServingStatus as ServingStatus } from "#gen/grpc/health/v1/health.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { WorkloadChannelCredentials } from "#mesh/rpc/credentials.ts";
import { testSource } from "#testing/certificates.ts";
import {
  deferred,
  failureOf,
  type ProbeMesh,
  ProbeService,
  probeRequest,
  probeResponse,
  startProbe,
} from "./probe.fixture.ts";
import { openSession, rawCall } from "./raw-call.fixture.ts";
import { createUsualTime } from "./usual-time.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  vi.useRealTimers();
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const overloaded = { code: "RESOURCE_EXHAUSTED", reason: "OVERLOADED" };

/** A probe with places for so many calls, all of which shoppers have taken that may. They stay until `letGo`. */
async function startFull(places: number, ofShoppers: number) {
  const held = deferred();
  const entered: Call[] = [];
  const mesh = await startProbe(
    {
      async read(_, call) {
        entered.push(call);
        await held.promise;
        return probeResponse();
      },
      forOrders: async () => probeResponse({ text: "between services" }),
    },
    { maxConcurrentCalls: places },
  );
  cleanUps.push(() => mesh.close(), held.resolve);
  const answers = Array.from({ length: ofShoppers }, () => mesh.probe.read(probeRequest(), mesh.call()));
  await expect.poll(() => entered.length).toBe(ofShoppers);
  return { mesh, letGo: () => held.resolve(), answers };
}

describe("a service without room", () => {
  test("refuses shoppers, and still answers other services", async () => {
    const { mesh, letGo, answers } = await startFull(10, 8);
    expect(await failureOf(mesh.probe.read(probeRequest(), mesh.call()))).toMatchObject(overloaded);
    const orders = mesh.mesh("orders").client(ProbeService);
    expect(await orders.forOrders(probeRequest(), mesh.call())).toMatchObject({ text: "between services" });
    expect(mesh.mesh("probe").stats.read()).toMatchObject({ callsShed: 1n, concurrencyLimit: 10n });
    letGo();
    expect(await Promise.all(answers)).toHaveLength(8);
  });

  test("still says that it is healthy, and answers whoever asks what it serves", async () => {
    const { mesh } = await startFull(1, 1);
    expect(await failureOf(mesh.probe.read(probeRequest(), mesh.call()))).toMatchObject(overloaded);
    const health = new HealthClient(
      mesh.address("probe"),
      new WorkloadChannelCredentials(testSource("gateway"), "probe"),
    );
    cleanUps.push(() => health.close());
    const state = await new Promise((resolve, reject) => {
      health.check({ service: "" }, (error, answer) => (error === null ? resolve(answer.status) : reject(error)));
    });
    expect(state).toBe(ServingStatus.SERVING);
  });

  test("loses no time over a token or a request that it will not take", async () => {
    const { mesh } = await startFull(1, 1);
    expect(await failureOf(mesh.probe.read(probeRequest(), mesh.call({ token: "no.token" })))).toMatchObject(
      overloaded,
    );
    expect(await failureOf(mesh.probe.read(probeRequest({ name: "" }), mesh.call()))).toMatchObject(overloaded);
  });

  test("refuses by the headers alone, and tells whoever still sends a request to stop", async () => {
    const { mesh } = await startFull(1, 1);
    const session = openSession(mesh.address("probe"));
    cleanUps.push(() => session.destroy());
    const { answer, closed } = rawCall(session, ProbeService.definition.read.path, {});
    const { failure } = await answer;
    expect(failure).toMatchObject({ ...overloaded, domain: ProbeService.name });
    expect(failure.retryDelayMs).toBeGreaterThan(0);
    expect(await closed).toBe(constants.NGHTTP2_NO_ERROR);
  });

  test("takes calls that are answered by a stream, which have places of their own", async () => {
    const { mesh } = await startFull(1, 1);
    const answers: unknown[] = [];
    for await (const answer of mesh.probe.watch(probeRequest({ count: 2 }), mesh.call())) answers.push(answer);
    expect(answers).toHaveLength(2);
  });

  test("does not tell all to come again at the same time", async () => {
    const { mesh } = await startFull(1, 1);
    const refused = Array.from({ length: 20 }, () => failureOf(mesh.probe.read(probeRequest(), mesh.call())));
    const delays = (await Promise.all(refused)).map(({ retryDelayMs }) => retryDelayMs ?? 0);
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(200);
    expect(Math.max(...delays)).toBeLessThanOrEqual(600);
    expect(new Set(delays).size).toBeGreaterThan(3);
  });
});

test("those who may not call are in nobody's way, however many come at once", async () => {
  const mesh = await startProbe({}, { maxConcurrentCalls: 1 });
  cleanUps.push(() => mesh.close());
  const session = openSession(mesh.address("probe"));
  cleanUps.push(() => session.destroy());
  const calls = Array.from({ length: 20 }, () => rawCall(session, ProbeService.definition.forOrders.path, {}));
  const reasons = (await Promise.all(calls.map(({ answer }) => answer))).map(({ failure }) => failure.reason);
  expect(new Set(reasons)).toEqual(new Set(["NOT_ALLOWED"]));
});

describe("a call with less time than it takes", () => {
  /** A probe whose calls have lately taken six seconds each; its clock stands still unless it is told. */
  async function startSlow(): Promise<{ readonly mesh: ProbeMesh; readonly seen: string[] }> {
    vi.useFakeTimers({ toFake: ["Date"] });
    const held = deferred();
    const seen: string[] = [];
    const handler = async ({ name }: { readonly name: string }) => {
      seen.push(name);
      await held.promise;
      return probeResponse();
    };
    const mesh = await startProbe({ read: handler, change: handler });
    cleanUps.push(() => mesh.close());
    const calls = Array.from({ length: 25 }, () => mesh.probe.read(probeRequest(), mesh.call()));
    await expect.poll(() => seen.length).toBe(25);
    vi.setSystemTime(Date.now() + 6_000);
    held.resolve();
    await Promise.all(calls);
    vi.setSystemTime(Date.now() + 3_000); // what was measured counts when its span is over
    return { mesh, seen };
  }

  test("is shed rather than worked on in vain", async () => {
    const { mesh, seen } = await startSlow();
    const call = mesh.call({ timeoutMs: 5_000 });
    expect(await failureOf(mesh.probe.read(probeRequest({ name: "late" }), call))).toMatchObject(overloaded);
    expect(seen).not.toContain("late");
  });

  test("is taken when there may be time enough, and when it changes something, which is kept however late", async () => {
    const { mesh, seen } = await startSlow();
    await mesh.probe.read(probeRequest({ name: "in time" }), mesh.call({ timeoutMs: 7_000 }));
    await mesh.probe.change(probeRequest({ name: "a change" }), mesh.call({ timeoutMs: 5_000 }));
    expect(seen.slice(25)).toEqual(["in time", "a change"]);
  });
});

describe("what calls usually take", () => {
  /** Calls of `tookMs`, one each 50 ms of a span of two seconds and a little. */
  const usualOf = (tookMs: readonly number[], startMs = 10_000) => {
    const usual = createUsualTime();
    let nowMs = startMs;
    for (const took of tookMs) {
      usual.note(nowMs, nowMs - took);
      nowMs += 50;
    }
    return { usual, endMs: startMs + 2_000 };
  };

  test("is unknown at first, of few calls, and when there was none for some seconds", () => {
    expect(createUsualTime().leastMs(10_000)).toBe(0);
    const few = usualOf(Array.from({ length: 10 }, () => 100));
    expect(few.usual.leastMs(few.endMs)).toBe(0);
    const many = usualOf(Array.from({ length: 30 }, () => 100));
    expect(many.usual.leastMs(many.endMs)).toBeGreaterThan(90);
    expect(many.usual.leastMs(many.endMs + 5_000)).toBe(0);
  });

  test("is the least that any took, and corrected at once by one that took less", () => {
    const took = Array.from({ length: 30 }, (_, i) => (i === 7 ? 40 : 900));
    const { usual, endMs } = usualOf(took);
    expect(usual.leastMs(endMs)).toBe(38);
    usual.note(endMs + 10, endMs);
    expect(usual.leastMs(endMs + 11)).toBe(8);
  });

  test("is forgotten when all who would correct it are refused by it", () => {
    const { usual, endMs } = usualOf(Array.from({ length: 30 }, () => 500));
    let refusedForMs = 0;
    for (let nowMs = endMs; usual.leastMs(nowMs) > 100; nowMs += 10) refusedForMs += 10;
    expect(refusedForMs).toBeGreaterThan(0);
    expect(refusedForMs).toBeLessThanOrEqual(4_000);
  });

  test("survives a clock that is set back", () => {
    const { usual } = usualOf(Array.from({ length: 30 }, () => 500));
    expect(usual.leastMs(5_000)).toBe(0);
    usual.note(5_000, 5_300);
    expect(usual.leastMs(7_500)).toBe(0);
  });
});
