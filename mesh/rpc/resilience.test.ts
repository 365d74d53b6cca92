import { createSecureServer } from "node:http2";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { meshFailure } from "#mesh/contract/errors.ts";
import { contextOptions } from "#mesh/identity/tls.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import type { OwnCall } from "#mesh/rpc/call.ts";
import { testCertificates } from "#testing/certificates.ts";
import { addressOf, createInstances, portOf } from "./instances.fixture.ts";
import { deferred, failureOf, type ProbeHandlers, ProbeService, probeRequest, probeResponse } from "./probe.fixture.ts";
import { BUDGET_TOKENS } from "./retry-rules.ts";

// What callers notice of callees that fail, over real sockets. Attempts are counted where they arrive.

const instances = createInstances();
afterEach(() => instances.close());

const away = (): never => {
  throw meshFailure("SERVICE_UNAVAILABLE", "not now");
};

function callOf(caller: MeshNode, timeoutMs = 10_000): OwnCall {
  return caller.background({ name: "test", timeoutMs });
}

/** Makes `calls` calls, 16 at a time; tells how many failed. */
async function steadyLoad(calls: number, call: () => Promise<{ readonly ok: boolean }>): Promise<number> {
  let begun = 0;
  let failed = 0;
  const worker = async (): Promise<void> => {
    while (begun < calls) {
      begun += 1;
      if (!(await call()).ok) failed += 1;
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  return failed;
}

describe("a brown-out is not amplified", () => {
  const CALLS = 600;

  /** The attempts that two instances see of so many calls, when they answer by `answers`. */
  async function attemptsUnder(answers: (attempt: number) => boolean): Promise<number> {
    let attempts = 0;
    const handlers: ProbeHandlers = {
      async read() {
        attempts += 1;
        return answers(attempts) ? probeResponse() : away();
      },
    };
    const servers = [await instances.serve(handlers), await instances.serve(handlers)];
    const caller = instances.callerOf(servers.map(addressOf));
    const probe = caller.client(ProbeService);
    await steadyLoad(CALLS, () => probe.try.read(probeRequest(), callOf(caller)));
    return attempts;
  }

  test("when all instances are unavailable", async () => {
    expect(await attemptsUnder(() => false)).toBeLessThanOrEqual(CALLS * 1.2);
  });

  test("when every other call fails", async () => {
    expect(await attemptsUnder((attempt) => attempt % 2 === 0)).toBeLessThanOrEqual(CALLS * 1.2);
  });

  test("by streams and calls together: they share one budget", async () => {
    let attempts = 0;
    const server = await instances.serve({
      async read() {
        attempts += 1;
        return away();
      },
      // biome-ignore lint/correctness/useYield: fails before its first message
      async *watch() {
        attempts += 1;
        away();
      },
    });
    const caller = instances.callerOf([addressOf(server)]);
    const probe = caller.client(ProbeService);
    const iterate = async (): Promise<void> => {
      for await (const _ of probe.watch(probeRequest(), callOf(caller)));
    };
    const both = () => [failureOf(iterate()), failureOf(probe.read(probeRequest(), callOf(caller)))];
    await Promise.all(Array.from({ length: 50 }, both).flat());
    expect(attempts).toBe(100 + BUDGET_TOKENS);
  });
});

describe("a dead instance", () => {
  test("does not surface for calls that may be repeated", async () => {
    const held = deferred();
    let holding = 0;
    const staying = await instances.serve();
    const dying = await instances.serveMortal({
      // Answers nobody any more, so that calls are under way to it when it dies.
      async read() {
        holding += 1;
        if (holding === 4) held.resolve();
        return new Promise(() => {});
      },
    });
    const caller = instances.callerOf([addressOf(staying), dying.address]);
    const probe = caller.client(ProbeService);
    const load = steadyLoad(200, () => probe.try.read(probeRequest(), callOf(caller)));
    await held.promise;
    await dying.die();
    expect(await load).toBe(0);
  });

  test("does surface for one that may have had its effect", async () => {
    const held = deferred();
    let attempts = 0;
    const dying = await instances.serveMortal({
      async collect() {
        attempts += 1;
        held.resolve();
        return new Promise(() => {});
      },
    });
    const caller = instances.callerOf([dying.address]);
    const upload = async function* () {
      yield probeRequest();
    };
    const answer = failureOf(caller.client(ProbeService).collect(upload(), callOf(caller)));
    await held.promise;
    await dying.die();
    expect(await answer).toMatchObject({ code: "UNAVAILABLE", reason: "SERVICE_UNAVAILABLE" });
    expect(attempts).toBe(1);
  });

  test("is asked again though its answer had begun, as long as no message had come", async () => {
    let attempts = 0;
    const server = createSecureServer(contextOptions(await testCertificates("probe")));
    server.on("stream", (stream) => {
      attempts += 1;
      stream.respond({ "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "14" }));
      stream.end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const caller = instances.callerOf([addressOf({ host: "127.0.0.1", port: portOf(server) })]);
    await failureOf(caller.client(ProbeService).read(probeRequest(), callOf(caller)));
    caller.close();
    server.close();
    expect(attempts).toBe(3);
  });
});

describe("a stream", () => {
  async function watch(
    handler: NonNullable<ProbeHandlers["watch"]>,
  ): Promise<{ readonly indices: number[]; code: string }> {
    const server = await instances.serve({ watch: handler });
    const caller = instances.callerOf([addressOf(server)]);
    const indices: number[] = [];
    let code = "OK";
    try {
      for await (const { index } of caller.client(ProbeService).watch(probeRequest(), callOf(caller)))
        indices.push(index);
    } catch (error) {
      code = String(Reflect.get(Object(error), "code"));
    }
    return { indices, code };
  }

  test("is begun again while nothing of it has come", async () => {
    let attempts = 0;
    const seen = await watch(async function* () {
      attempts += 1;
      if (attempts < 3) away();
      yield probeResponse({ index: attempts });
    });
    expect(seen).toEqual({ indices: [3], code: "OK" });
  });

  test("is not begun again once a message has come", async () => {
    let attempts = 0;
    const seen = await watch(async function* () {
      attempts += 1;
      yield probeResponse({ index: attempts });
      away();
    });
    expect(seen).toEqual({ indices: [1], code: "UNAVAILABLE" });
    expect(attempts).toBe(1);
  });
});

describe("a slow instance", () => {
  /** Two instances that take turns by now, of which one never answers a `look`. */
  async function slowAndQuick(): Promise<{ readonly caller: MeshNode; slow: number; cancelled: number }> {
    const seen = { slow: 0, cancelled: 0 };
    const slow = await instances.serve({
      read: async () => probeResponse({ text: "slow" }),
      look: (_, { signal }) => {
        seen.slow += 1;
        signal.addEventListener("abort", () => (seen.cancelled += 1));
        return new Promise(() => {});
      },
    });
    const caller = instances.callerOf([slow, await instances.serve()].map(addressOf));
    // While one of them is not connected yet, hedges go where the first attempt went.
    const reached = new Set<string>();
    while (reached.size < 2) reached.add((await caller.client(ProbeService).read(probeRequest(), callOf(caller))).text);
    return Object.assign(seen, { caller });
  }

  test("is hidden by hedging, and its attempts are cancelled", async () => {
    const seen = await slowAndQuick();
    const probe = seen.caller.client(ProbeService);
    // Of two attempts one after the other, one comes to the slow instance. What is cancelled is not held against it.
    for (let calls = 0; calls < 20; calls++) {
      expect(await probe.look(probeRequest(), callOf(seen.caller))).toMatchObject({ text: "probe" });
    }
    expect(seen.slow).toBeGreaterThanOrEqual(10);
    await expect.poll(() => seen.slow - seen.cancelled).toBe(0);
  });

  test("is waited for where the contract does not hedge", async () => {
    let attempts = 0;
    const answer = deferred();
    const server = await instances.serve({
      async read() {
        attempts += 1;
        setTimeout(answer.resolve, 100);
        await answer.promise;
        return probeResponse();
      },
    });
    const caller = instances.callerOf([addressOf(server)]);
    await caller.client(ProbeService).read(probeRequest(), callOf(caller));
    expect(attempts).toBe(1);
  });

  test("is not asked twice when there is no other", async () => {
    let attempts = 0;
    const answer = deferred();
    const server = await instances.serve({
      async look() {
        attempts += 1;
        setTimeout(answer.resolve, 100);
        await answer.promise;
        return probeResponse();
      },
    });
    const caller = instances.callerOf([addressOf(server)]);
    await caller.client(ProbeService).look(probeRequest(), callOf(caller));
    expect(attempts).toBe(1);
  });

  test("costs no more hedges than the budget has", async () => {
    let attempts = 0;
    const handlers: ProbeHandlers = {
      async look() {
        attempts += 1;
        return new Promise(() => {});
      },
    };
    const servers = [await instances.serve(handlers), await instances.serve(handlers)];
    const caller = instances.callerOf(servers.map(addressOf));
    const probe = caller.client(ProbeService);
    const calls = BUDGET_TOKENS * 2;
    await Promise.all(
      Array.from({ length: calls }, () => failureOf(probe.look(probeRequest(), callOf(caller, 1_000)))),
    );
    expect(attempts).toBe(calls + BUDGET_TOKENS);
  });
});

describe("a deadline", () => {
  test("ends with the call, not with its last attempt", async () => {
    const timeouts: number[] = [];
    const server = await instances.serve({
      async read(_, call) {
        timeouts.push(call.deadline);
        await delay(700); // so that an attempt with all the time anew would end much later than the call
        return away();
      },
    });
    const caller = instances.callerOf([addressOf(server)]);
    const call = callOf(caller, 8_000);
    await failureOf(caller.client(ProbeService).read(probeRequest(), call));
    expect(timeouts).toHaveLength(3);
    // Each attempt is given what is left: the end stays where it is, but for whole milliseconds on the wire.
    for (const deadline of timeouts) expect(Math.abs(deadline - call.deadline)).toBeLessThan(1_000);
  });

  test("of half a second is half a second", async () => {
    const server = await instances.serve({ look: () => new Promise(() => {}), read: async () => probeResponse() });
    const caller = instances.callerOf([addressOf(server)]);
    const probe = caller.client(ProbeService);
    await probe.read(probeRequest(), callOf(caller));
    const startedAt = performance.now();
    expect(await failureOf(probe.look(probeRequest(), callOf(caller, 500)))).toMatchObject({
      code: "DEADLINE_EXCEEDED",
    });
    expect(performance.now() - startedAt).toBeGreaterThan(450);
  });
});
