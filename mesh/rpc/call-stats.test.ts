import { afterEach, expect, test } from "vitest";
import { meshFailure } from "#mesh/contract/errors.ts";
import { createCallStats } from "./call-stats.ts";
import { deferred, failureOf, probeRequest, probeResponse, startProbe } from "./probe.fixture.ts";
import { openSession, rawCall } from "./raw-call.fixture.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

test("tells own faults, calls without room and the caller's faults apart", () => {
  const stats = createCallStats(() => 20);
  const failures = [
    undefined,
    meshFailure("INTERNAL", "a defect"),
    meshFailure("DEADLINE_EXCEEDED", "too late", { remote: true }),
    meshFailure("OVERLOADED", "no room here"),
    meshFailure("OVERLOADED", "no room elsewhere", { remote: true }),
    meshFailure("INVALID_REQUEST", "the caller's own"),
  ];
  for (const failure of failures) {
    stats.begin();
    stats.end(failure);
  }
  stats.begin();
  expect(stats.read()).toEqual({
    callsTotal: 6n,
    callsFailed: 2n,
    callsShed: 1n,
    callsRunning: 1n,
    concurrencyLimit: 20n,
  });
});

test("a server counts each call once, however it ends", async () => {
  const held = deferred();
  const entered = deferred();
  const mesh = await startProbe({
    async read({ name }) {
      if (name === "defect") throw new Error("a defect");
      if (name !== "slow") return probeResponse();
      entered.resolve();
      await held.promise;
      return probeResponse();
    },
  });
  cleanUps.push(() => mesh.close());
  const { stats } = mesh.mesh("probe");
  const leaving = new AbortController();
  const slow = failureOf(
    mesh.probe.read(probeRequest({ name: "slow" }), mesh.call({ signal: leaving.signal, timeoutMs: 60_000 })),
  );
  await entered.promise;
  expect(stats.read()).toMatchObject({ callsTotal: 0n, callsRunning: 1n, concurrencyLimit: expect.any(BigInt) });
  await mesh.probe.read(probeRequest(), mesh.call());
  await failureOf(mesh.probe.read(probeRequest({ name: "defect" }), mesh.call()));
  await failureOf(mesh.probe.read(probeRequest({ name: "" }), mesh.call()));
  leaving.abort();
  await slow;
  await expect.poll(() => stats.read().callsRunning).toBe(0n);
  held.resolve();
  const session = openSession(mesh.address("probe"));
  cleanUps.push(() => session.destroy());
  const unknown = rawCall(session, "/mesh.test.v1.ProbeService/NoSuchMethod", {});
  unknown.end();
  await unknown.answer;
  expect(stats.read()).toMatchObject({ callsTotal: 5n, callsFailed: 2n, callsShed: 0n, callsRunning: 0n });
});
