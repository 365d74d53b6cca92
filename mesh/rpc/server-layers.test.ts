import type { OutgoingHttpHeaders } from "node:http2";
import { afterEach, describe, expect, test } from "vitest";
import { fakeClock } from "#testing/clock.ts";
import type { TestMeshOptions } from "#testing/mesh.ts";
import {
  deferred,
  failureOf,
  type ProbeHandlers,
  type ProbeMesh,
  ProbeService,
  probeRequest,
  probeRequestBytes,
  probeResponse,
  startProbe,
} from "./probe.fixture.ts";
import { frame, openSession, type RawAnswer, rawCall } from "./raw-call.fixture.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function start(handlers?: ProbeHandlers, options?: TestMeshOptions): Promise<ProbeMesh> {
  const mesh = await startProbe(handlers, options);
  cleanUps.push(() => mesh.close());
  return mesh;
}

/** A good request to Read under these headers. */
async function readWith(mesh: ProbeMesh, headers: OutgoingHttpHeaders): Promise<RawAnswer> {
  const session = openSession(mesh.address("probe"));
  cleanUps.push(() => session.destroy());
  const call = rawCall(session, "/mesh.test.v1.ProbeService/Read", headers);
  call.write(frame(probeRequestBytes(probeRequest())));
  call.end();
  return call.answer;
}

describe("accept", () => {
  test("gives the handler the caller, the user, the deadline and the trace", async () => {
    let seen: Record<string, unknown> = {};
    const mesh = await start({
      async read(_, { caller, user, trace, deadline, method }) {
        seen = { caller, user, trace, leftMs: deadline - Date.now(), path: method.path };
        return probeResponse();
      },
    });
    const user = { id: "usr_1", kind: "guest", roles: [], sessionId: "ses_1" } as const;
    const call = mesh.call({ user, timeoutMs: 8_000 });
    await mesh.probe.read(probeRequest(), call);
    expect(seen).toMatchObject({ caller: "gateway", user, path: "/mesh.test.v1.ProbeService/Read" });
    expect(seen.trace).toMatchObject({ traceId: call.trace.traceId, flags: call.trace.flags });
    expect(seen.trace).not.toMatchObject({ spanId: call.trace.spanId });
    expect(seen.leftMs).toBeGreaterThan(0);
    expect(seen.leftMs).toBeLessThanOrEqual(8_000);
  });

  test("takes the method's own deadline when the caller's is later", async () => {
    const mesh = await start({
      read: async (_, { deadline }) => probeResponse({ index: deadline - Date.now() }),
    });
    const { index } = await mesh.probe.read(probeRequest(), mesh.call({ timeoutMs: 60_000 }));
    expect(index).toBeLessThanOrEqual(10_000);
  });

  test.each(["-5S", "123456789S", "99999999H", "0n"])("bounds a call with the timeout %s", async (timeout) => {
    let leftMs: number | undefined;
    const mesh = await start({
      async read(_, { deadline }) {
        leftMs = deadline - Date.now();
        return probeResponse();
      },
    });
    const { code } = await readWith(mesh, { "grpc-timeout": timeout });
    expect([0, 4]).toContain(code);
    expect(leftMs ?? 0).toBeLessThanOrEqual(10_000);
  });

  test("refuses a timeout that is none", async () => {
    const mesh = await start();
    const answer = await readWith(mesh, { "grpc-timeout": "soon" });
    expect(answer.failure).toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST" });
  });

  test("does not start work whose time is up", async () => {
    let started = false;
    const mesh = await start({
      async read() {
        started = true;
        return probeResponse();
      },
    });
    const answer = await readWith(mesh, { "grpc-timeout": "0m" });
    expect(answer.failure).toMatchObject({ code: "DEADLINE_EXCEEDED", reason: "DEADLINE_EXCEEDED" });
    expect(started).toBe(false);
  });

  test("refuses metadata over the limit", async () => {
    const mesh = await start();
    const answer = await readWith(mesh, { "x-note": "n".repeat(20_000) });
    expect(answer.failure).toMatchObject({ code: "RESOURCE_EXHAUSTED", reason: "MESSAGE_TOO_LARGE" });
  });

  test("begins a trace of its own when the caller's is malformed", async () => {
    const mesh = await start({
      read: async (_, { trace }) => probeResponse({ text: trace.traceId }),
    });
    await readWith(mesh, { traceparent: "00-xyz-1-01" });
    expect(mesh.logs.at(-1)).toMatchObject({ traceId: expect.stringMatching(/^[0-9a-f]{32}$/) });
  });
});

describe("identify", () => {
  test("knows the caller by its certificate, whatever the metadata say", async () => {
    const mesh = await start({ read: async (_, { caller }) => probeResponse({ text: caller }) });
    await readWith(mesh, { "shopmesh-caller": "operator" });
    expect(mesh.logs.at(-1)).toMatchObject({ caller: "gateway", code: "OK" });
  });

  test("believes the gateway from which address a call came, and no other caller", async () => {
    const seen: string[] = [];
    const mesh = await start({
      async read(_, { clientAddress }) {
        seen.push(clientAddress);
        return probeResponse();
      },
    });
    await mesh.probe.read(probeRequest(), mesh.call({ clientAddress: "192.0.2.7" }));
    await mesh.probe.read(probeRequest(), mesh.call());
    const orders = mesh.mesh("orders");
    const call = orders.background({ name: "test", timeoutMs: 8_000, clientAddress: "192.0.2.7" });
    await orders.client(ProbeService).read(probeRequest(), call);
    expect(seen).toEqual(["192.0.2.7", "", ""]);
  });

  test("verifies a token also where none is needed", async () => {
    const mesh = await start();
    const failure = await failureOf(mesh.probe.read(probeRequest(), mesh.call({ token: "not.a.token" })));
    expect(failure).toMatchObject({ code: "UNAUTHENTICATED", reason: "TOKEN_INVALID" });
  });

  test.each(["Basic dXNlcg==", "Bearer", "Bearer a b"])("refuses the authorization %s", async (authorization) => {
    const mesh = await start();
    const { failure } = await readWith(mesh, { authorization });
    expect(failure).toMatchObject({ code: "UNAUTHENTICATED", reason: "TOKEN_INVALID" });
  });

  test("tells an expired token from a bad one, also when it was good before", async () => {
    const clock = fakeClock();
    const mesh = await start({}, { clock });
    const token = mesh.token();
    await mesh.probe.forCustomers(probeRequest(), mesh.call({ token }));
    clock.advance(16 * 60_000);
    const failure = await failureOf(mesh.probe.forCustomers(probeRequest(), mesh.call({ token })));
    expect(failure).toMatchObject({ code: "UNAUTHENTICATED", reason: "TOKEN_EXPIRED" });
    const old = mesh.token({}, { lifetimeMs: -1_000 });
    expect(await failureOf(mesh.probe.forCustomers(probeRequest(), mesh.call({ token: old })))).toMatchObject({
      reason: "TOKEN_EXPIRED",
    });
  });
});

describe("authorize", () => {
  test("asks for a token where one would help", async () => {
    const mesh = await start();
    expect(await failureOf(mesh.probe.forCustomers(probeRequest(), mesh.call()))).toMatchObject({
      code: "UNAUTHENTICATED",
      reason: "TOKEN_MISSING",
    });
  });

  test("refuses the wrong kind of user, and logs who would have been let in", async () => {
    const mesh = await start();
    const call = mesh.call({ user: { id: "usr_7", kind: "guest" } });
    expect(await failureOf(mesh.probe.forCustomers(probeRequest(), call))).toMatchObject({
      code: "PERMISSION_DENIED",
      reason: "NOT_ALLOWED",
    });
    expect(mesh.logs.at(-1)).toMatchObject({
      code: "PERMISSION_DENIED",
      userId: "usr_7",
      policy: "customer, service:orders",
    });
  });

  test("admits a named service without a user, and no other", async () => {
    const mesh = await start();
    const call = mesh.call();
    const from = (workload: string) => mesh.mesh(workload).client(ProbeService);
    expect(await from("orders").forOrders(probeRequest(), call)).toMatchObject({ text: "probe" });
    expect(mesh.logs.at(-1)).toMatchObject({ rule: "service:orders", caller: "orders" });
    for (const workload of ["gateway", "cart"]) {
      expect(await failureOf(from(workload).forOrders(probeRequest(), call))).toMatchObject({ reason: "NOT_ALLOWED" });
    }
  });
});

describe("admit", () => {
  test("sheds what finds no room, says when to come again, and makes room again", async () => {
    const held = deferred();
    const mesh = await start(
      {
        async read({ name }) {
          if (name === "slow") await held.promise;
          return probeResponse();
        },
      },
      { maxConcurrentCalls: 1 },
    );
    const slow = mesh.probe.read(probeRequest({ name: "slow" }), mesh.call());
    await expect
      .poll(() => failureOf(mesh.probe.read(probeRequest(), mesh.call())).catch(() => undefined))
      .toMatchObject({
        code: "RESOURCE_EXHAUSTED",
        reason: "OVERLOADED",
        retryDelayMs: expect.any(Number),
      });
    held.resolve();
    await slow;
    expect(await mesh.probe.read(probeRequest(), mesh.call())).toBeDefined();
  });

  test("writes a line for the first that found no room, and tells of the others together", async () => {
    const held = deferred();
    const entered = deferred();
    const mesh = await start(
      {
        async read() {
          entered.resolve();
          await held.promise;
          return probeResponse();
        },
      },
      { maxConcurrentCalls: 1 },
    );
    const slow = mesh.probe.read(probeRequest(), mesh.call());
    await entered.promise;
    const refused = await Promise.all(
      Array.from({ length: 50 }, () => failureOf(mesh.probe.read(probeRequest(), mesh.call()))),
    );
    expect(new Set(refused.map(({ reason }) => reason))).toEqual(new Set(["OVERLOADED"]));
    const lines = () => mesh.logs.filter(({ reason }) => reason === "OVERLOADED");
    const told = () => lines().reduce((sum, { refused: others = 1 }) => sum + Number(others), 0);
    await expect.poll(told, { timeout: 10_000 }).toBe(50);
    expect(lines()[0]).toMatchObject({ msg: "call", code: "RESOURCE_EXHAUSTED" });
    // Two, or a few more on a machine that takes seconds over this.
    expect(lines().length).toBeLessThan(20);
    held.resolve();
    await slow;
  });
});

describe("validate", () => {
  test("names every broken rule by its path, and does not call the handler", async () => {
    let called = false;
    const mesh = await start({
      async read() {
        called = true;
        return probeResponse();
      },
    });
    const request = probeRequest({ name: "", count: -1, parts: [{ label: "good" }, { label: "too long" }] });
    const failure = await failureOf(mesh.probe.read(request, mesh.call()));
    expect(failure).toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST" });
    expect(failure.violations.map(({ field, reason }) => [field, reason])).toEqual([
      ["name", "string.min_len"],
      ["count", "int32.gte_lte"],
      ["parts[1].label", "string.max_len"],
    ]);
    expect(called).toBe(false);
  });

  test("keeps a long list of broken rules within a trailer, and says how many it leaves out", async () => {
    const mesh = await start();
    const parts = Array.from({ length: 100 }, () => ({ label: "much too long" }));
    const failure = await failureOf(mesh.probe.read(probeRequest({ parts }), mesh.call()));
    expect(failure.violations.length).toBeGreaterThan(20);
    expect(failure.violations.at(-1)?.description).toMatch(/^and \d+ more violations$/);
  });

  test("fails a stream of requests at the first that breaks a rule", async () => {
    const received: string[] = [];
    const mesh = await start({
      async collect(incoming) {
        for await (const { name } of incoming) received.push(name);
        return probeResponse();
      },
    });
    const requests = async function* () {
      for (const name of ["a", "", "c"]) yield probeRequest({ name });
    };
    const failure = await failureOf(mesh.probe.collect(requests(), mesh.call()));
    expect(failure).toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST" });
    expect(failure.violations).toMatchObject([{ field: "name" }]);
    expect(received).toEqual(["a"]);
  });
});
