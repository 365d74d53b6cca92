import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect as connectSocket, createServer } from "node:net";
import type { Readable } from "node:stream";
import { afterEach, describe, expect, test } from "vitest";
import { HealthClient, HealthCheckResponse_ServingStatus as ServingStatus } from "#gen/grpc/health/v1/health.ts";
import { implement } from "#mesh/contract/contract.ts";
import { staticEndpoints } from "#mesh/discovery/endpoints.ts";
import type { MeshNode, RunningServer, ServeOptions } from "#mesh/mesh.ts";
import { WorkloadChannelCredentials } from "#mesh/rpc/credentials.ts";
import { createLogger } from "#mesh/telemetry/log.ts";
import { testAuthority, testSource } from "#testing/certificates.ts";
import { openTestJoinDoor } from "#testing/join-door.ts";
import { createTestNode } from "#testing/mesh.ts";
import { freePort } from "#testing/ports.ts";
import {
  deferred,
  failureOf,
  type ProbeClient,
  type ProbeHandlers,
  ProbeService,
  probeDescriptors,
  probeHandlers,
  probeRequest,
  probeResponse,
} from "./probe.fixture.ts";
import { openSession, rawCall } from "./raw-call.fixture.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const log = createLogger({ workload: "test", instance: "1", version: "test", level: "silent" });
const parts = { log, descriptors: probeDescriptors, startupGraceMs: 0 };
const shutdownBounds = { streamsMs: 50, callsMs: 600, connectionsMs: 900 };

interface Served {
  readonly server: RunningServer;
  readonly probe: ProbeClient;
  readonly caller: MeshNode;
}

async function serve(handlers: ProbeHandlers, options: Omit<ServeOptions, "services"> = {}): Promise<Served> {
  const node = createTestNode("probe", { ...parts, shutdownBounds });
  const server = await node.serve({ services: [implement(ProbeService, probeHandlers(handlers))], ...options });
  cleanUps.push(() => server.close());
  return { server, ...connect(`${server.host}:${server.port}`) };
}

function connect(address: string): Pick<Served, "caller" | "probe"> {
  const caller = createTestNode("gateway", {
    ...parts,
    endpoints: staticEndpoints({ probe: [address] }),
  });
  cleanUps.push(() => caller.close());
  return { caller, probe: caller.client(ProbeService) };
}

describe("a server that is closed", () => {
  test("closes its join door while the calls of the mesh finish", async () => {
    const begun = deferred();
    const proceed = deferred();
    const read = async () => {
      begun.resolve();
      await proceed.promise;
      return probeResponse();
    };
    const joinDoor = { listen: { host: "127.0.0.1", port: await freePort() }, services: [] };
    // Longer than a busy machine takes to find the door closed.
    const bounds = { ...shutdownBounds, callsMs: 20_000, connectionsMs: 20_000 };
    const node = createTestNode("probe", { ...parts, shutdownBounds: bounds });
    const services = [implement(ProbeService, probeHandlers({ read }))];
    const server = await node.serve({ services, joinDoor });
    const { probe, caller } = connect(`${server.host}:${server.port}`);
    const call = caller.background({ name: "test", timeoutMs: 10_000 });
    const answer = probe.read(probeRequest(), call);
    await begun.promise;
    const closed = server.close();
    await expect.poll(() => isOpen(joinDoor.listen.port), { timeout: 10_000 }).toBe(false);
    proceed.resolve();
    await answer;
    await closed;
  });

  test("finishes the calls that run, refuses new ones, and then releases what they used", async () => {
    const begun = deferred();
    const proceed = deferred();
    const events: string[] = [];
    const { server, probe, caller } = await serve(
      {
        async read({ name }) {
          begun.resolve();
          await proceed.promise;
          events.push("call ends");
          return probeResponse({ text: name });
        },
      },
      { close: async () => void events.push("released") },
    );
    const call = caller.background({ name: "test", timeoutMs: 10_000 });
    const running = probe.read(probeRequest({ name: "running" }), call);
    await begun.promise;
    const closed = server.close();
    expect(server.close()).toBe(closed);
    expect(await failureOf(probe.change(probeRequest(), call))).toMatchObject({ reason: "SERVICE_UNAVAILABLE" });
    proceed.resolve();
    expect(await running).toMatchObject({ text: "running" });
    await closed;
    expect(events).toEqual(["call ends", "released"]);
  });

  test("ends open streams soon, with a reason to ask again", async () => {
    const { server, probe, caller } = await serve({
      async *watch(_, { signal }) {
        yield probeResponse();
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      },
    });
    const stream = probe.watch(probeRequest(), caller.background({ name: "test", timeoutMs: 10_000 }));
    const failure = failureOf(
      (async () => {
        for await (const _ of stream) void server.close();
      })(),
    );
    expect(await failure).toMatchObject({ code: "UNAVAILABLE", reason: "SERVICE_UNAVAILABLE" });
    await server.close();
  });

  test("cuts calls that do not end, after a bound", async () => {
    const begun = deferred();
    const { server, probe, caller } = await serve({
      read() {
        begun.resolve();
        return new Promise(() => {});
      },
    });
    const failure = failureOf(probe.read(probeRequest(), caller.background({ name: "test", timeoutMs: 10_000 })));
    await begun.promise;
    await server.close();
    expect(await failure).toMatchObject({ code: "UNAVAILABLE", reason: "SERVICE_UNAVAILABLE" });
  });
});

test("a server that is closed does not wait for a caller that does not read the answers there are", async () => {
  const { server, probe, caller } = await serve({
    async *watch() {
      for (let count = 0; ; count += 1) yield probeResponse({ text: `${count} ${"x".repeat(10_000)}` });
    },
  });
  // Longer than this test may take.
  const call = caller.background({ name: "test", timeoutMs: 120_000 });
  cleanUps.push(() => call.done());
  await probe.watch(probeRequest(), call)[Symbol.asyncIterator]().next();
  await server.close();
}, 20_000);

test("a server that is closed does not wait for a caller that has left half a request behind", async () => {
  const { server } = await serve({});
  const session = openSession(`${server.host}:${server.port}`);
  cleanUps.push(() => session.destroy());
  session.on("error", () => {});
  const { write, answer } = rawCall(session, "/grpc.health.v1.Health/Check", {});
  write(Buffer.from([0, 0]));
  await new Promise((resolve) => session.ping(resolve)); // the server has seen it
  await server.close();
  expect(await answer).toBeDefined();
});

test("an address that is taken is told in one sentence", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  cleanUps.push(() => taken.close());
  await once(taken, "listening");
  const address = taken.address();
  if (address === null || typeof address === "string") throw new Error("not listening");
  const node = createTestNode("probe", parts, address.port);
  await expect(node.serve({ services: [] })).rejects.toThrow(`cannot listen on 127.0.0.1:${address.port}`);
});

describe("a process", () => {
  interface Process {
    readonly child: ChildProcess;
    readonly stdout: Readable;
    readonly address: string;
    /** All that it wrote, and its exit code, when it has ended. */
    readonly ended: Promise<{ readonly code: unknown; readonly output: string }>;
  }

  async function start(): Promise<Process> {
    const door = await openTestJoinDoor(await testAuthority());
    cleanUps.push(() => door.close());
    const environment = await door.environment("probe");
    const child = fork(new URL("./process.fixture.ts", import.meta.url), {
      execArgv: ["--import", "tsx"],
      env: { ...environment },
      stdio: ["ignore", "pipe", "inherit", "ipc"],
    });
    cleanUps.push(() => child.kill("SIGKILL"));
    const { stdout } = child;
    if (stdout === null) throw new Error("the output is piped");
    let output = "";
    stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
    const ended = Promise.all([once(child, "exit"), once(stdout, "close")]).then(([[code]]) => ({ code, output }));
    const [ready] = await once(child, "message");
    expect(ready).toEqual({ type: "ready", port: expect.any(Number) });
    return { child, stdout, address: `127.0.0.1:${ready.port}`, ended };
  }

  /** Begins a call that takes half a second in the process, and waits until it is there. */
  async function beginSlowCall({ child, address }: Process): Promise<{ readonly answer: Promise<unknown> }> {
    const { probe, caller } = connect(address);
    const begun = once(child, "message");
    const answer = probe.read(probeRequest({ name: "slow" }), caller.background({ name: "test", timeoutMs: 10_000 }));
    expect((await begun)[0]).toEqual({ type: "begun" });
    return { answer };
  }

  test.each(["SIGTERM", "SIGINT"] as const)(
    "finishes what runs at %s, exits with 0, and loses no line of its log",
    async (signal) => {
      const started = await start();
      const { answer } = await beginSlowCall(started);
      started.child.kill(signal);
      expect(await answer).toMatchObject({ text: "slow" });
      const { code, output } = await started.ended;
      expect(code).toBe(0);
      const lines = output
        .trim()
        .split("\n")
        .map((line): unknown => JSON.parse(line));
      expect(lines).toContainEqual(expect.objectContaining({ method: "Read", code: "OK", workload: "probe" }));
      expect(lines.slice(-2)).toMatchObject([{ msg: "released" }, { msg: "shut down" }]);
    },
  );

  test("ends when its parent is gone", async () => {
    const started = await start();
    started.child.disconnect();
    expect(await started.ended).toMatchObject({ code: 0, output: expect.stringContaining("the parent is gone") });
  });

  test("writes its log while it runs", async () => {
    const { stdout } = await start();
    const [chunk] = await once(stdout, "data");
    expect(String(chunk)).toContain('"serving"');
  });
});

test("health is SERVING while calls are taken, and watchers hear of the end", async () => {
  const { server } = await serve({});
  const health = new HealthClient(
    `${server.host}:${server.port}`,
    new WorkloadChannelCredentials(testSource("gateway"), "probe"),
  );
  cleanUps.push(() => health.close());
  const states: ServingStatus[] = [];
  const watch = health.watch({ service: "mesh.test.v1.ProbeService" });
  watch.on("data", ({ status }) => states.push(status));
  watch.on("error", () => {});
  await once(watch, "data");
  await server.close();
  expect(states).toEqual([ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
});

function isOpen(port: number): Promise<boolean> {
  const socket = connectSocket(port, "127.0.0.1");
  const opened = new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
  });
  return opened.finally(() => socket.destroy());
}
