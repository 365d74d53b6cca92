import { afterEach, describe, expect, test } from "vitest";
import { failures, invalidArgument, meshFailure, RpcError } from "#mesh/contract/errors.ts";
import type { LogLine } from "#testing/mesh.ts";
import { FrontService, failureOf, type ProbeMesh, ProbeService, probeRequest, startProbe } from "./probe.fixture.ts";

const fail = failures(ProbeService);
const meshes: ProbeMesh[] = [];
afterEach(async () => {
  for (const mesh of meshes.splice(0)) await mesh.close();
});

/** Calls a method that throws `error`; returns what the caller got, and what the log says of the call. */
async function callThatThrows(error: unknown): Promise<{ failure: RpcError; line: LogLine | undefined }> {
  const mesh = await startProbe({
    read: async () => {
      throw error;
    },
  });
  meshes.push(mesh);
  const failure = await failureOf(mesh.probe.read(probeRequest(), mesh.call()));
  return { failure, line: mesh.logs.at(-1) };
}

/** The same with a hop in between, whose handler lets the failure of the other service through. */
async function callThroughFront(error: unknown): Promise<RpcError> {
  const mesh = await startProbe(
    {
      read: async () => {
        throw error;
      },
    },
    { front: (probe) => ({ read: (request, call) => probe.read(request, call) }) },
  );
  meshes.push(mesh);
  return failureOf(mesh.front.read(probeRequest(), mesh.call()));
}

describe("what a handler throws", () => {
  test("reaches the caller whole when the contract declares it", async () => {
    const thrown = fail("NO_SUCH_PROBE", "there is no probe 7 — ünknown\n", { probe: "7" });
    const { failure, line } = await callThatThrows(thrown);
    expect(failure).toBeInstanceOf(RpcError);
    expect(failure).toMatchObject({
      code: "NOT_FOUND",
      reason: "NO_SUCH_PROBE",
      domain: "mesh.test.v1.ProbeService",
      message: thrown.message,
      metadata: { probe: "7" },
      remote: true,
    });
    expect(line).toMatchObject({ level: "info", code: "NOT_FOUND", reason: "NO_SUCH_PROBE" });
  });

  test("reaches the caller as a violation of what the contract cannot express", async () => {
    const violations = [{ field: "parts", description: "must differ", reason: "parts.unique" }];
    const { failure } = await callThatThrows(invalidArgument(violations));
    expect(failure).toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST", violations });
  });

  test("carries the time to wait", async () => {
    const { failure } = await callThatThrows(meshFailure("OVERLOADED", "later", { retryDelayMs: 1_250 }));
    expect(failure).toMatchObject({ reason: "OVERLOADED", retryDelayMs: 1_250 });
  });

  test.each([
    ["a bug", new TypeError("the password is hunter2")],
    ["no error at all", "the password is hunter2"],
    ["undefined", undefined],
    ["a reason that another method declares", failures(ProbeService)("TOO_LATE", "the password is hunter2")],
    ["a reason that nobody declares", new RpcError({ code: "ABORTED", reason: "WHO_KNOWS", message: "hunter2" })],
    ["a declared reason of another service", failures(FrontService)("NO_SUCH_PROBE", "hunter2")],
    [
      "a declared reason with another code",
      new RpcError({ code: "ABORTED", reason: "NO_SUCH_PROBE", message: "hunter2" }),
    ],
    ["a mesh's reason with another code", new RpcError({ code: "ABORTED", reason: "OVERLOADED", message: "hunter2" })],
  ])("is INTERNAL when it is %s, and only the log tells what it was", async (_, thrown) => {
    const { failure, line } = await callThatThrows(thrown);
    expect(failure).toMatchObject({ code: "INTERNAL", reason: "INTERNAL", domain: "mesh.test.v1.ProbeService" });
    expect(JSON.stringify({ ...failure, message: failure.message })).not.toContain("hunter2");
    expect(failure.metadata.correlation_id).toMatch(/^[0-9a-f]{16}$/);
    expect(line).toMatchObject({ level: "error", code: "INTERNAL", correlationId: failure.metadata.correlation_id });
    if (thrown !== undefined) expect(JSON.stringify(line)).toContain("hunter2");
  });

  test("is INTERNAL when the answer is not what the contract says", async () => {
    const mesh = await startProbe({
      // @ts-expect-error a handler that ignores the types
      read: async () => ({ text: "", index: "not a number", padding: new Uint8Array() }),
    });
    meshes.push(mesh);
    expect(await failureOf(mesh.probe.read(probeRequest(), mesh.call()))).toMatchObject({ code: "INTERNAL" });
  });

  test("is cut when it would not fit into the trailers, between characters", async () => {
    const { failure } = await callThatThrows(fail("NO_SUCH_PROBE", `${"x".repeat(510)}${"😀".repeat(5_000)}`));
    expect(failure.reason).toBe("NO_SUCH_PROBE");
    expect(failure.message.length).toBeLessThanOrEqual(512);
  });

  test("is never more than one ErrorInfo and names its causes in the log", async () => {
    const cause = new Error("the disk is full");
    const { line } = await callThatThrows(new Error("could not write", { cause }));
    expect(line?.err).toMatchObject({ message: "could not write", cause: { message: "the disk is full" } });
  });
});

describe("what another service failed with", () => {
  test("is INTERNAL when a handler lets it through", async () => {
    expect(await callThroughFront(fail("NO_SUCH_PROBE", "no probe"))).toMatchObject({
      code: "INTERNAL",
      reason: "INTERNAL",
      domain: "mesh.test.v1.FrontService",
    });
  });

  test("is INTERNAL when our own request to it was invalid", async () => {
    expect(await callThroughFront(invalidArgument([]))).toMatchObject({ code: "INTERNAL" });
  });

  test.each(["SERVICE_UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "OVERLOADED"] as const)(
    "passes on as such when it is %s",
    async (reason) => {
      expect(await callThroughFront(meshFailure(reason, "not now"))).toMatchObject({
        reason,
        domain: "mesh.test.v1.ProbeService",
      });
    },
  );
});

describe("client.try", () => {
  test("gives declared failures and those of the mesh as values", async () => {
    const mesh = await startProbe({
      read: async ({ name }) => {
        throw name === "a" ? fail("NO_SUCH_PROBE", "none") : meshFailure("OVERLOADED", "busy");
      },
    });
    meshes.push(mesh);
    const missing = await mesh.probe.try.read(probeRequest({ name: "a" }), mesh.call());
    expect(missing).toMatchObject({ ok: false, error: { reason: "NO_SUCH_PROBE" } });
    // The union is narrow enough to exhaust.
    if (!missing.ok && missing.error.reason === "NO_SUCH_PROBE") expect(missing.error.code).toBe("NOT_FOUND");
    expect(await mesh.probe.try.read(probeRequest({ name: "b" }), mesh.call())).toMatchObject({
      ok: false,
      error: { reason: "OVERLOADED" },
    });
  });

  test("gives the answer as a value", async () => {
    const mesh = await startProbe();
    meshes.push(mesh);
    expect(await mesh.probe.try.read(probeRequest(), mesh.call())).toMatchObject({
      ok: true,
      value: { text: "probe" },
    });
  });
});

test("a failure's stack names who waited for the answer", async () => {
  const mesh = await startProbe({
    read: async () => {
      throw fail("NO_SUCH_PROBE", "none");
    },
  });
  meshes.push(mesh);
  async function somebodyWhoWaits(): Promise<void> {
    await mesh.probe.read(probeRequest(), mesh.call());
  }
  expect((await failureOf(somebodyWhoWaits())).stack).toContain("somebodyWhoWaits");
});

test("failures refuses a reason that the contract does not declare", () => {
  // @ts-expect-error not a reason of the contract
  expect(() => fail("NOBODY_DECLARES_THIS", "")).toThrow(TypeError);
});
