import { afterEach, describe, expect, test } from "vitest";
import {
  deferred,
  type ProbeHandlers,
  type ProbeMesh,
  probeRequest,
  probeRequestBytes,
  probeResponse,
  startProbe,
} from "./probe.fixture.ts";
import { frame, openSession, type RawAnswer, type RawCall, rawCall } from "./raw-call.fixture.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function start(handlers?: ProbeHandlers): Promise<ProbeMesh> {
  const mesh = await startProbe(handlers);
  cleanUps.push(() => mesh.close());
  return mesh;
}

function open(mesh: ProbeMesh, path: string): RawCall {
  const session = openSession(mesh.address("probe"));
  cleanUps.push(() => session.destroy());
  return rawCall(session, path, {});
}

async function readBytes(mesh: ProbeMesh, ...messages: readonly Uint8Array[]): Promise<RawAnswer> {
  const call = open(mesh, "/mesh.test.v1.ProbeService/Read");
  for (const message of messages) call.write(frame(message));
  call.end();
  return call.answer;
}

const invalid = { code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST", domain: "mesh.test.v1.ProbeService" };
const good = probeRequestBytes(probeRequest());

describe("a request that is no message", () => {
  test("is refused as malformed when its bytes are cut short", async () => {
    const mesh = await start();
    const { failure } = await readBytes(mesh, good.subarray(0, good.length - 2));
    expect(failure).toMatchObject(invalid);
    expect(failure.violations).toMatchObject([{ reason: "malformed" }]);
  });

  test("is refused with the field named when a string is not UTF-8", async () => {
    const mesh = await start();
    const name = Buffer.from([0x0a, 2, 0xc3, 0x28]);
    expect((await readBytes(mesh, name)).failure.violations).toMatchObject([{ field: "name", reason: "string.utf8" }]);
    // parts[1].label, after a good parts[0]
    const parts = Buffer.from([0x0a, 1, 0x61, 0x1a, 3, 0x0a, 1, 0x61, 0x1a, 3, 0x0a, 1, 0xff]);
    const { failure } = await readBytes(mesh, parts);
    expect(failure).toMatchObject(invalid);
    expect(failure.violations).toMatchObject([{ field: "parts[1].label", reason: "string.utf8" }]);
  });

  test("is refused when none comes, or two", async () => {
    const mesh = await start();
    expect((await readBytes(mesh)).failure).toMatchObject(invalid);
    expect((await readBytes(mesh, good, good)).failure).toMatchObject(invalid);
  });

  test("is refused as too large when it is over 4 MiB", async () => {
    const mesh = await start();
    const { failure } = await readBytes(mesh, Buffer.alloc(5 * 1024 * 1024));
    expect(failure).toMatchObject({ code: "RESOURCE_EXHAUSTED", reason: "MESSAGE_TOO_LARGE" });
    expect(mesh.logs.at(-1)).toMatchObject({ code: "RESOURCE_EXHAUSTED", reason: "MESSAGE_TOO_LARGE" });
  });

  test("is refused when it says it is compressed and is not", async () => {
    const mesh = await start();
    const session = openSession(mesh.address("probe"));
    cleanUps.push(() => session.destroy());
    const call = rawCall(session, "/mesh.test.v1.ProbeService/Read", {
      "grpc-encoding": "gzip",
    });
    const bytes = frame(good);
    bytes[0] = 1;
    call.write(bytes);
    call.end();
    expect((await call.answer).failure).toMatchObject(invalid);
  });
});

test("ends half a request at the deadline of the method", async () => {
  const mesh = await start();
  const call = open(mesh, "/mesh.test.v1.ProbeService/Hurry");
  call.write(frame(good).subarray(0, 6));
  const { failure } = await call.answer;
  expect(failure).toMatchObject({ code: "DEADLINE_EXCEEDED", reason: "DEADLINE_EXCEEDED" });
  expect(mesh.logs.at(-1)).toMatchObject({ method: "Hurry", code: "DEADLINE_EXCEEDED" });
});

test("answers an unknown method and an unknown service with a reason", async () => {
  const mesh = await start();
  for (const path of ["/mesh.test.v1.ProbeService/Nothing", "/no.such.Service/Read", "/", "/%ff/\u00e9"]) {
    const call = open(mesh, path);
    call.end();
    expect((await call.answer).failure).toMatchObject({ code: "UNIMPLEMENTED", reason: "METHOD_UNKNOWN" });
  }
});

test("answers a call that names no method at all, and lives on", async () => {
  const mesh = await start();
  const session = openSession(mesh.address("probe"));
  cleanUps.push(() => session.destroy());
  // The one method of HTTP/2 that comes without a path.
  const call = rawCall(session, "", { ":method": "CONNECT", ":path": undefined, ":authority": "probe" });
  expect((await call.answer).failure).toMatchObject({ code: "UNIMPLEMENTED", reason: "METHOD_UNKNOWN" });
  expect(await mesh.probe.read(probeRequest(), mesh.call())).toMatchObject({ text: "probe" });
});

test("stops the work of a caller that resets, at whatever point", async () => {
  const aborted = deferred<unknown>();
  const started = deferred();
  const mesh = await start({
    async read({ name }, { signal }) {
      if (name !== "hang") return probeResponse({ text: name });
      signal.addEventListener("abort", () => aborted.resolve(signal.reason), { once: true });
      started.resolve();
      await aborted.promise;
      throw signal.reason;
    },
  });
  const cancelled = () => mesh.logs.filter(({ code }) => code === "CANCELLED").length;
  const session = openSession(mesh.address("probe"));
  cleanUps.push(() => session.destroy());
  const begin = () => rawCall(session, "/mesh.test.v1.ProbeService/Read", {});

  const half = begin();
  half.write(frame(good).subarray(0, 3));
  session.ping(() => half.reset()); // the answer to a ping tells that the server has seen what came before
  await expect.poll(cancelled).toBe(1);

  const whole = begin();
  whole.write(frame(probeRequestBytes(probeRequest({ name: "hang" }))));
  whole.end();
  await started.promise;
  whole.reset();
  expect(await aborted.promise).toMatchObject({ code: "CANCELLED" });
  await expect.poll(cancelled).toBe(2);

  expect(await mesh.probe.read(probeRequest({ name: "next" }), mesh.call())).toMatchObject({ text: "next" });
});
