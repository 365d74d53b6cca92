import { afterEach, describe, expect, test } from "vitest";
import { isReason, meshFailure } from "#mesh/contract/errors.ts";
import { contextOf, withTimeout } from "#mesh/rpc/call-context.ts";
import {
  deferred,
  failureOf,
  type ProbeMesh,
  ProbeService,
  probeRequest,
  probeResponse,
  startProbe,
} from "./probe.fixture.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function start(...options: Parameters<typeof startProbe>): Promise<ProbeMesh> {
  const mesh = await startProbe(...options);
  cleanUps.push(() => mesh.close());
  // Connecting takes its time, and these tests count milliseconds.
  for (const workload of ["gateway", "front"]) {
    for await (const _ of mesh.mesh(workload).client(ProbeService).watch(probeRequest(), mesh.call()));
  }
  for await (const _ of mesh.front.watch(probeRequest(), mesh.call()));
  return mesh;
}

function never(): Promise<never> {
  return new Promise(() => {});
}

describe("a deadline", () => {
  test("is answered in time though the handler ignores it", async () => {
    const mesh = await start({ hurry: never });
    const startedAt = performance.now();
    const failure = await failureOf(mesh.probe.hurry(probeRequest(), mesh.call()));
    expect(failure).toMatchObject({ code: "DEADLINE_EXCEEDED", reason: "DEADLINE_EXCEEDED" });
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    await expect.poll(() => mesh.logs.at(-1)).toMatchObject({ method: "Hurry", code: "DEADLINE_EXCEEDED" });
  });

  test("aborts the signal of the handler, with the reason", async () => {
    const aborted = deferred<unknown>();
    const mesh = await start({
      async hurry(_, { signal }) {
        signal.addEventListener("abort", () => aborted.resolve(signal.reason), { once: true });
        return never();
      },
    });
    await failureOf(mesh.probe.hurry(probeRequest(), mesh.call()));
    expect(isReason(await aborted.promise, "DEADLINE_EXCEEDED")).toBe(true);
  });

  test("has passed for a handler that looks at its signal only afterwards", async () => {
    const seen = deferred<boolean>();
    const mesh = await start({
      async hurry(_, call) {
        await new Promise((resolve) => setTimeout(resolve, call.deadline - Date.now() + 20));
        seen.resolve(call.signal.aborted);
        return probeResponse();
      },
    });
    await failureOf(mesh.probe.hurry(probeRequest(), mesh.call()));
    expect(await seen.promise).toBe(true);
  });

  test("travels on, and ends the work two hops away", async () => {
    const aborted = deferred<unknown>();
    const deadlines: number[] = [];
    const mesh = await start(
      {
        async read(_, { deadline, signal }) {
          deadlines.push(deadline);
          signal.addEventListener("abort", () => aborted.resolve(signal.reason), { once: true });
          return never();
        },
      },
      {
        front: (probe) => ({
          read(request, call) {
            deadlines.push(call.deadline);
            return probe.read(request, call);
          },
        }),
      },
    );
    const call = mesh.call({ timeoutMs: 1_000 });
    expect(await failureOf(mesh.front.read(probeRequest(), call))).toMatchObject({ reason: "DEADLINE_EXCEEDED" });
    expect(isReason(await aborted.promise, "DEADLINE_EXCEEDED") || isReason(await aborted.promise, "CANCELLED")).toBe(
      true,
    );
    for (const deadline of deadlines) expect(Math.abs(deadline - call.deadline)).toBeLessThan(500);
  });

  test("that has passed is not sent out at all", async () => {
    let called = false;
    const mesh = await start({
      async read() {
        called = true;
        return probeResponse();
      },
    });
    const failure = await failureOf(mesh.probe.read(probeRequest(), mesh.call({ timeoutMs: 0 })));
    expect(failure).toMatchObject({ reason: "DEADLINE_EXCEEDED", domain: "mesh.test.v1.ProbeService" });
    expect(called).toBe(false);
  });

  test("can be narrowed by a handler for one of its calls", async () => {
    const mesh = await start(
      { read: never },
      {
        front: (probe) => ({
          async read(request, call) {
            const failure = await failureOf(probe.read(request, withTimeout(call, 100)));
            return probeResponse({ text: failure.reason, index: call.signal.aborted ? 1 : 0 });
          },
        }),
      },
    );
    expect(await mesh.front.read(probeRequest(), mesh.call())).toMatchObject({ text: "DEADLINE_EXCEEDED", index: 0 });
  });
});

describe("cancellation", () => {
  test("travels on, and ends the work two hops away", async () => {
    const started = deferred();
    const aborted = deferred<unknown>();
    const mesh = await start(
      {
        async read(_, { signal }) {
          signal.addEventListener("abort", () => aborted.resolve(signal.reason), { once: true });
          started.resolve();
          return never();
        },
      },
      { front: (probe) => ({ read: (request, call) => probe.read(request, call) }) },
    );
    const giveUp = new AbortController();
    const failure = failureOf(mesh.front.read(probeRequest(), mesh.call({ signal: giveUp.signal })));
    await started.promise;
    giveUp.abort();
    expect(await failure).toMatchObject({ code: "CANCELLED", reason: "CANCELLED" });
    expect(isReason(await aborted.promise, "CANCELLED")).toBe(true);
    await expect.poll(() => mesh.logs.filter(({ code }) => code === "CANCELLED").length).toBe(2);
  });

  test("before the call begins sends nothing", async () => {
    let called = false;
    const mesh = await start({
      async read() {
        called = true;
        return probeResponse();
      },
    });
    const failure = await failureOf(
      mesh.probe.read(probeRequest(), mesh.call({ signal: AbortSignal.abort(meshFailure("CANCELLED", "gone")) })),
    );
    expect(failure).toMatchObject({ reason: "CANCELLED" });
    await mesh.probe.change(probeRequest(), mesh.call());
    expect(called).toBe(false);
  });

  test("leaves no listener behind on a call that makes many", async () => {
    const mesh = await start();
    const call = mesh.call();
    let listeners = 0;
    const context = contextOf(call);
    const [listen, leave] = [context.listen.bind(context), context.leave.bind(context)];
    context.listen = (listener) => {
      listeners += 1;
      listen(listener);
    };
    context.leave = (listener) => {
      listeners -= 1;
      leave(listener);
    };
    for (let i = 0; i < 20; i++) await mesh.probe.read(probeRequest(), call);
    expect(listeners).toBe(0);
  });
});

test("a copy of a call is refused, for it would never end", async () => {
  const mesh = await start();
  const copy = { ...mesh.call() };
  await expect(mesh.probe.read(probeRequest(), copy)).rejects.toThrow(TypeError);
});

test("the user and the trace travel on to the second hop", async () => {
  const mesh = await start(
    { read: async (_, { user, caller, trace }) => probeResponse({ text: `${user?.id} ${caller} ${trace.traceId}` }) },
    { front: (probe) => ({ read: (request, call) => probe.read(request, call) }) },
  );
  const call = mesh.call({ user: { id: "usr_9" } });
  expect(await mesh.front.read(probeRequest(), call)).toMatchObject({ text: `usr_9 front ${call.trace.traceId}` });
});
