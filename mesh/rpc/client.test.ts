import { createSecureServer } from "node:http2";
import { afterEach, describe, expect, test } from "vitest";
import { meshFailure } from "#mesh/contract/errors.ts";
import { contextOptions } from "#mesh/identity/tls.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import { testCertificates } from "#testing/certificates.ts";
import { addressOf, createInstances } from "./instances.fixture.ts";
import { deferred, failureOf, ProbeService, probeRequest, probeResponse, startProbe } from "./probe.fixture.ts";

const cleanUps: (() => unknown)[] = [];
const instances = createInstances();
const { serve: serveProbe } = instances;
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  await instances.close();
});

function callerOf(addresses: readonly string[], startupGraceMs = 0): MeshNode {
  return instances.callerOf(addresses, { startupGraceMs });
}

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = await serveProbe();
  await server.close();
  return server.port;
}

describe("retries", () => {
  const unavailable = () => {
    throw meshFailure("SERVICE_UNAVAILABLE", "not now");
  };

  test("a method without side effects until it succeeds", async () => {
    let tries = 0;
    const mesh = await startProbe({
      async read() {
        tries += 1;
        return tries < 3 ? unavailable() : probeResponse({ index: tries });
      },
    });
    cleanUps.push(() => mesh.close());
    expect(await mesh.probe.read(probeRequest(), mesh.call())).toMatchObject({ index: 3 });
  });

  test("three times at most, and not again at the next hop", async () => {
    let tries = 0;
    const mesh = await startProbe(
      {
        async read() {
          tries += 1;
          return unavailable();
        },
      },
      { front: (probe) => ({ read: (request, call) => probe.read(request, call) }) },
    );
    cleanUps.push(() => mesh.close());
    const failure = await failureOf(mesh.front.read(probeRequest(), mesh.call()));
    expect(failure).toMatchObject({ code: "UNAVAILABLE", domain: "mesh.test.v1.ProbeService" });
    expect(tries).toBe(3);
  });

  test("no method that may have effects", async () => {
    let tries = 0;
    const mesh = await startProbe({
      async collect() {
        tries += 1;
        return unavailable();
      },
      async change() {
        tries += 1;
        return unavailable();
      },
    });
    cleanUps.push(() => mesh.close());
    await failureOf(mesh.probe.change(probeRequest(), mesh.call()));
    expect(tries).toBe(1);
  });

  test("nothing that failed for another reason", async () => {
    let tries = 0;
    const mesh = await startProbe({
      async read() {
        tries += 1;
        throw meshFailure("OVERLOADED", "busy");
      },
    });
    cleanUps.push(() => mesh.close());
    await failureOf(mesh.probe.read(probeRequest(), mesh.call()));
    expect(tries).toBe(1);
  });
});

describe("a service that is not there", () => {
  test("is UNAVAILABLE soon, with its name, once the first seconds are over", async () => {
    const caller = callerOf([`127.0.0.1:${await freePort()}`]);
    const probe = caller.client(ProbeService);
    const startedAt = performance.now();
    const call = caller.background({ name: "test", timeoutMs: 15_000 });
    expect(await failureOf(probe.read(probeRequest(), call))).toMatchObject({
      code: "UNAVAILABLE",
      reason: "SERVICE_UNAVAILABLE",
      metadata: { service: "mesh.test.v1.ProbeService" },
      remote: true,
    });
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  test("is UNAVAILABLE when no instance of it is known at all", async () => {
    const caller = callerOf([]);
    const call = caller.background({ name: "test", timeoutMs: 15_000 });
    expect(await failureOf(caller.client(ProbeService).read(probeRequest(), call))).toMatchObject({
      reason: "SERVICE_UNAVAILABLE",
    });
  });

  test("is waited for while it may still be starting", async () => {
    const port = await freePort();
    const caller = callerOf([`127.0.0.1:${port}`], 60_000);
    const call = caller.background({ name: "test", timeoutMs: 15_000 });
    const answer = caller.client(ProbeService).read(probeRequest(), call);
    await serveProbe({}, port);
    expect(await answer).toMatchObject({ text: "probe" });
  });

  test("is not waited for when it was there and went away", async () => {
    const server = await serveProbe();
    const caller = callerOf([addressOf(server)], 60_000);
    const probe = caller.client(ProbeService);
    const call = caller.background({ name: "test", timeoutMs: 15_000 });
    await probe.read(probeRequest(), call);
    await probe.read(probeRequest(), call);
    await server.close();
    expect(await failureOf(probe.read(probeRequest(), call))).toMatchObject({ reason: "SERVICE_UNAVAILABLE" });
  });

  test("is found again when it comes back", async () => {
    const first = await serveProbe();
    const caller = callerOf([addressOf(first)]);
    const probe = caller.client(ProbeService);
    const call = () => caller.background({ name: "test", timeoutMs: 15_000 });
    await probe.read(probeRequest(), call());
    await first.close();
    await failureOf(probe.read(probeRequest(), call()));
    await serveProbe({}, first.port);
    await expect.poll(() => probe.try.read(probeRequest(), call()), { timeout: 10_000 }).toMatchObject({ ok: true });
  });
});

test("spreads calls over all instances, and fails none when one of them leaves", async () => {
  const served = [0, 0];
  const servers = await Promise.all(
    served.map((_, index) =>
      serveProbe({
        async read() {
          served[index] = (served[index] ?? 0) + 1;
          return probeResponse();
        },
      }),
    ),
  );
  const caller = callerOf(servers.map(addressOf));
  const probe = caller.client(ProbeService);
  const call = () => caller.background({ name: "test", timeoutMs: 15_000 });
  await expect
    .poll(
      async () => {
        await probe.read(probeRequest(), call());
        return served.every((count) => count > 0);
      },
      { timeout: 10_000 },
    )
    .toBe(true);

  const left = deferred();
  let failures = 0;
  const load = Array.from({ length: 16 }, async () => {
    let last = false;
    const isLast = left.promise.then(() => {
      last = true;
    });
    while (!last) {
      const result = await probe.try.read(probeRequest(), call());
      if (!result.ok) failures += 1;
    }
    await isLast;
  });
  await servers[0]?.close();
  left.resolve();
  await Promise.all(load);
  expect(failures).toBe(0);
});

describe("a status without details", () => {
  /** A server that answers everything with these trailers, as some proxy might. */
  async function proxyThatSays(headers: Readonly<Record<string, string>>): Promise<string> {
    const server = createSecureServer(contextOptions(await testCertificates("probe")));
    server.on("stream", (stream) =>
      stream.respond({ "content-type": "application/grpc", ...headers }, { endStream: true }),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    cleanUps.push(() => server.close());
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    return `127.0.0.1:${address.port}`;
  }

  test.each([
    ["1", "CANCELLED", "CANCELLED"],
    ["2", "UNKNOWN", "INTERNAL"],
    ["4", "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"],
    ["8", "RESOURCE_EXHAUSTED", "OVERLOADED"],
    ["12", "UNIMPLEMENTED", "METHOD_UNKNOWN"],
    ["14", "UNAVAILABLE", "SERVICE_UNAVAILABLE"],
    ["99", "UNKNOWN", "INTERNAL"],
  ])("of code %s gets the reason of its code", async (status, code, reason) => {
    const caller = callerOf([await proxyThatSays({ "grpc-status": status })]);
    const call = caller.background({ name: "test", timeoutMs: 10_000 });
    expect(await failureOf(caller.client(ProbeService).read(probeRequest(), call))).toMatchObject({ code, reason });
  });

  test("and with details that are none does too", async () => {
    const caller = callerOf([await proxyThatSays({ "grpc-status": "5", "grpc-status-details-bin": "bm8gc3RhdHVz" })]);
    const call = caller.background({ name: "test", timeoutMs: 10_000 });
    expect(await failureOf(caller.client(ProbeService).change(probeRequest(), call))).toMatchObject({
      code: "NOT_FOUND",
      reason: "INTERNAL",
    });
  });

  test("but success without a message is a failure", async () => {
    const caller = callerOf([await proxyThatSays({ "grpc-status": "0" })]);
    const call = caller.background({ name: "test", timeoutMs: 10_000 });
    expect(await failureOf(caller.client(ProbeService).change(probeRequest(), call))).toMatchObject({
      code: "UNKNOWN",
    });
  });
});

test("refuses calls after its channels were closed", async () => {
  const caller = callerOf([]);
  const probe = caller.client(ProbeService);
  caller.close();
  const call = caller.background({ name: "test", timeoutMs: 10_000 });
  expect(await failureOf(probe.read(probeRequest(), call))).toMatchObject({ reason: "SERVICE_UNAVAILABLE" });
});

test("a request that its codec refuses fails by itself, and sends nothing", async () => {
  const mesh = await startProbe();
  cleanUps.push(() => mesh.close());
  // @ts-expect-error a caller that ignores the types
  await expect(mesh.probe.read({ ...probeRequest(), count: "many" }, mesh.call())).rejects.toThrow();
});
