import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { implement } from "#mesh/contract/contract.ts";
import { staticEndpoints } from "#mesh/discovery/endpoints.ts";
import { ProbeService, probeDescriptors, probeHandlers, probeRequest, probeResponse } from "#mesh/rpc/probe.fixture.ts";
import { createLogger } from "#mesh/telemetry/log.ts";
import { testSource } from "./certificates.ts";
import { type FaultProxy, startFaultProxy } from "./fault-proxy.ts";
import type { Intercept } from "./faults/exchange.ts";
import { createTestNode } from "./mesh.ts";

const cleanUps: (() => unknown)[] = [];
let intercept: Intercept;
beforeEach(() => {
  intercept = () => "pass";
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function standBetween(protocol: "grpc" | "http" | "tcp", upstream: string): Promise<FaultProxy> {
  const proxy = await startFaultProxy({
    protocol,
    caller: "gateway",
    callee: "probe",
    upstream: () => upstream,
    identities: { caller: testSource("gateway"), callee: testSource("probe") },
    intercept: (exchange, moment) => intercept(exchange, moment),
  });
  cleanUps.push(() => proxy.close());
  return proxy;
}

describe("of gRPC", () => {
  let proxy: FaultProxy;
  let handled: string[];
  let ask: (name: string) => Promise<string>;
  let watch: () => Promise<readonly number[]>;

  beforeEach(async () => {
    const log = createLogger({ workload: "test", instance: "1", version: "test", level: "silent" });
    const parts = { log, descriptors: probeDescriptors, startupGraceMs: 0 };
    handled = [];
    const handlers = probeHandlers({
      read: async ({ name }) => {
        handled.push(name);
        return probeResponse({ text: `read ${name}` });
      },
    });
    const node = createTestNode("probe", parts);
    const server = await node.serve({ services: [implement(ProbeService, handlers)] });
    cleanUps.push(() => server.close());
    proxy = await standBetween("grpc", `${server.host}:${server.port}`);
    const caller = createTestNode("gateway", {
      ...parts,
      endpoints: staticEndpoints({ probe: [proxy.address] }),
    });
    cleanUps.push(() => caller.close());
    const probe = caller.client(ProbeService);
    const call = () => caller.background({ name: "test", timeoutMs: 10_000 });
    ask = async (name) => {
      const answer = await probe.try.read(probeRequest({ name }), call());
      return answer.ok ? answer.value.text : answer.error.reason;
    };
    watch = async () => {
      const seen: number[] = [];
      for await (const { index } of probe.watch(probeRequest({ name: "a", count: 3 }), call())) seen.push(index);
      return seen;
    };
  });

  test("passes calls, failures and streams on, and knows their methods and requests", async () => {
    const seen: string[] = [];
    intercept = ({ caller, callee, method, request }, moment) => {
      seen.push(`${moment} ${caller} ${callee} ${method} ${request.includes("a-name")}`);
      return "pass";
    };
    expect(await ask("a-name")).toBe("read a-name");
    const method = "/mesh.test.v1.ProbeService/Read";
    expect(seen).toEqual([`before gateway probe ${method} true`, `after gateway probe ${method} true`]);
    expect(await ask("")).toBe("INVALID_REQUEST");
    expect(await watch()).toEqual([0, 1, 2]);
  });

  test("cuts before the callee has seen the request", async () => {
    intercept = (_, moment) => (moment === "before" ? "cut" : "pass");
    expect(await ask("lost")).toBe("SERVICE_UNAVAILABLE");
    expect(handled).toEqual([]);
    intercept = () => "pass";
    expect(await ask("again")).toBe("read again");
  });

  test("cuts after the callee has answered", async () => {
    intercept = (_, moment) => (moment === "after" ? "cut" : "pass");
    expect(await ask("done")).toBe("SERVICE_UNAVAILABLE");
    expect(handled).toContain("done");
  });

  test("holds a request up as long as it is told to, and passes it on late", async () => {
    let release = (): void => {};
    const reached = new Promise<void>((resolve) => {
      intercept = async (_, moment) => {
        if (moment === "after") return "pass";
        resolve();
        return new Promise((go) => {
          release = () => go("pass");
        });
      };
    });
    const asking = ask("late");
    await reached;
    expect(handled).toEqual([]);
    release();
    expect(await asking).toBe("read late");
  });

  test("cuts every connection there is, and takes new ones", async () => {
    let exchanges = 0;
    const held = new Promise<void>((resolve) => {
      intercept = () => {
        exchanges += 1;
        if (exchanges > 1) return "pass";
        resolve();
        return new Promise(() => {});
      };
    });
    const asking = ask("again");
    await held;
    proxy.cut();
    // The contract calls the method safe to repeat, so the mesh does.
    expect(await asking).toBe("read again");
    expect(handled).toEqual(["again"]);
  });
});

test("of HTTP/1: knows method and answer, changes headers, and loses answers", async () => {
  const keys: string[] = [];
  const server = createHttpServer((request, response) => {
    keys.push(String(request.headers["idempotency-key"]));
    response.writeHead(201, { "x-made-by": "callee" }).end(`made ${request.url}`);
  });
  const proxy = await standBetween("http", await listen(server));
  const post = () =>
    fetch(`http://${proxy.address}/v1/a?b=c`, { method: "POST", headers: { "idempotency-key": "k1" } });
  const seen: string[] = [];
  intercept = ({ method, headers, answer }, moment) => {
    seen.push(`${moment} ${method} ${headers["idempotency-key"]} ${answer}`);
    return "pass";
  };
  const reply = await post();
  expect([reply.status, reply.headers.get("x-made-by"), await reply.text()]).toEqual([201, "callee", "made /v1/a?b=c"]);
  expect(seen).toEqual(["before POST /v1/a k1 ", "after POST /v1/a k1 made /v1/a?b=c"]);
  intercept = () => ({ headers: { "idempotency-key": "k2" } });
  expect((await post()).status).toBe(201);
  intercept = (_, moment) => (moment === "after" ? "cut" : "pass");
  await expect(post()).rejects.toThrow();
  expect(keys).toEqual(["k1", "k2", "k1"]);
});

test("of plain TCP: passes bytes on both ways, holds them up, and cuts", async () => {
  const echo = createServer((socket) => socket.pipe(socket));
  const proxy = await standBetween("tcp", await listen(echo));
  const socket = connect({ host: "127.0.0.1", port: Number(proxy.address.split(":")[1]) });
  await once(socket, "connect");
  socket.write("hello");
  expect(String((await once(socket, "data"))[0])).toBe("hello");
  proxy.stall(50);
  socket.write("later");
  expect(String((await once(socket, "data"))[0])).toBe("later");
  const closed = once(socket, "close");
  proxy.cut();
  await closed;
});

async function listen(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanUps.push(() => new Promise((resolve) => server.close(resolve)));
  // A server that listens on TCP has an address of this form.
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}
