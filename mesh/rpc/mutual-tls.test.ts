import { connect as connectHttp2 } from "node:http2";
import { type ConnectionOptions, connect, TLSSocket } from "node:tls";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { implement } from "#mesh/contract/contract.ts";
import { plainCluster } from "#mesh/discovery/endpoints.ts";
import { type CertificateSource, type Certificates, createCertificateHolder } from "#mesh/identity/certificates.ts";
import { contextOptions } from "#mesh/identity/tls.ts";
import { createMeshNode, type MeshNode, type RunningServer } from "#mesh/mesh.ts";
import { createLogger } from "#mesh/telemetry/log.ts";
import { createTestAuthority, type IssueOptions, selfSigned, type TestAuthority } from "#testing/authority.ts";
import { testConfig } from "#testing/mesh.ts";
import {
  deferred,
  type ProbeHandlers,
  ProbeService,
  probeDescriptors,
  probeHandlers,
  probeRequest,
  probeResponse,
} from "./probe.fixture.ts";

let authority: TestAuthority;
let foreign: TestAuthority;
let probe: Certificates;
let orders: Certificates;

beforeAll(async () => {
  [authority, foreign] = await Promise.all([createTestAuthority(), createTestAuthority(7n)]);
  [probe, orders] = await Promise.all([authority.issue("probe"), authority.issue("orders")]);
});

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const lines: Record<string, unknown>[] = [];
const destination = { write: (line: string) => lines.push(JSON.parse(line)) };
const log = createLogger({ workload: "test", instance: "1", version: "test", level: "info", destination });
const parts = { log, descriptors: probeDescriptors, startupGraceMs: 0 };

async function serve(certificates: CertificateSource, handlers: ProbeHandlers = {}): Promise<RunningServer> {
  const node = createMeshNode("probe", testConfig(), { ...parts, certificates });
  const answers = probeHandlers({ read: async (_, { caller }) => probeResponse({ text: caller }), ...handlers });
  const server = await node.serve({ services: [implement(ProbeService, answers)] });
  cleanUps.push(() => server.close());
  return server;
}

function callerOf(server: RunningServer, certificates: CertificateSource): MeshNode {
  const endpoints = {
    watch(_: string, listener: (cluster: ReturnType<typeof plainCluster>) => void) {
      listener(plainCluster([{ host: server.host, port: server.port }]));
      return () => {};
    },
  };
  const node = createMeshNode("orders", testConfig(), { ...parts, certificates, endpoints });
  cleanUps.push(() => node.close());
  return node;
}

/** The workload that the server takes the caller for, or why there was no answer. */
async function ask(node: MeshNode, timeoutMs = 10_000): Promise<string> {
  const call = node.background({ name: "test", timeoutMs });
  const answer = await node.client(ProbeService).try.read(probeRequest(), call);
  return answer.ok ? answer.value.text : answer.error.reason;
}

const held = (certificates: Certificates): CertificateSource => createCertificateHolder(certificates);

/** Whether the server takes up HTTP/2 with who comes so. */
function isGreeted({ host, port }: RunningServer, options: ConnectionOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, ALPNProtocols: ["h2"], rejectUnauthorized: false, ...options });
    const session = connectHttp2("https://probe", { createConnection: () => socket });
    const end = (greeted: boolean): void => {
      session.destroy();
      resolve(greeted);
    };
    session
      .once("remoteSettings", () => end(true))
      .once("error", () => end(false))
      .once("close", () => end(false));
    socket.once("error", () => end(false)).once("close", () => end(false));
  });
}

const past: IssueOptions = { startTime: new Date(Date.now() - 7_200_000), expireTime: new Date(Date.now() - 1_000) };
const future: IssueOptions = {
  startTime: new Date(Date.now() + 3_600_000),
  expireTime: new Date(Date.now() + 7_200_000),
};
const uris = (...names: string[]): IssueOptions => ({ uris: names.map((name) => `spiffe://${name}`) });

const badOnes: [string, (service: string) => Promise<Certificates>][] = [
  ["signed by itself", selfSigned],
  ["of a foreign authority", (service) => foreign.issue(service, { trusted: [authority.certificate] })],
  ["that has expired", (service) => authority.issue(service, past)],
  ["that is not good yet", (service) => authority.issue(service, future)],
  ["of two workloads", (service) => authority.issue(service, uris(`shopmesh/${service}`, "shopmesh/operator"))],
  ["of one workload, twice", (service) => authority.issue(service, uris(`shopmesh/${service}`, `shopmesh/${service}`))],
  ["of another trust domain", (service) => authority.issue(service, uris(`another/${service}`))],
  ["of no name", (service) => authority.issue(service, { uris: [] })],
];

describe("a server", () => {
  test("takes the caller from its certificate", async () => {
    const server = await serve(held(probe));
    expect(await ask(callerOf(server, held(orders)))).toBe("orders");
    expect(await ask(callerOf(server, held(await authority.issue("cart"))))).toBe("cart");
  });

  test("takes up nothing with who has no certificate, in the clear, or in an older TLS", async () => {
    const server = await serve(held(probe));
    expect(await isGreeted(server, contextOptions(orders))).toBe(true);
    expect(await isGreeted(server, { ca: [authority.certificate] })).toBe(false);
    const { minVersion: _, ...older } = contextOptions(orders);
    expect(await isGreeted(server, { ...older, maxVersion: "TLSv1.2" })).toBe(false);
    const plain = connectHttp2(`http://${server.host}:${server.port}`);
    await new Promise((resolve) => plain.once("error", resolve).once("close", resolve));
    expect(plain.remoteSettings).toEqual({});
    plain.destroy();
  });

  test.each(badOnes)("takes up nothing with a certificate %s, and says so", async (_, make) => {
    const server = await serve(held(probe));
    const before = lines.length;
    const { trusted: _ours, ...bad } = await make("orders");
    expect(await isGreeted(server, contextOptions({ ...bad, trusted: [authority.certificate] }))).toBe(false);
    await vi.waitFor(() => expect(lines.slice(before)).toContainEqual(refusal));
  });
  const refusal = expect.objectContaining({ msg: "refused a connection", reason: expect.any(String) });

  test("reads a certificate once for a connection, not for each call", async () => {
    const reads = vi.spyOn(TLSSocket.prototype, "getPeerCertificate");
    cleanUps.push(() => reads.mockRestore());
    const server = await serve(held(probe));
    const node = callerOf(server, held(orders));
    for (let i = 0; i < 20; i++) expect(await ask(node)).toBe("orders");
    expect(reads.mock.calls.length).toBeLessThan(10);
  });

  test("asks for a certificate before it takes a connection: nothing listens without one", async () => {
    const empty = createCertificateHolder();
    const node = createMeshNode("probe", testConfig(), { ...parts, certificates: empty });
    const serving = node.serve({ services: [implement(ProbeService, probeHandlers({}))] });
    let up = false;
    void serving.then(() => (up = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(up).toBe(false);
    empty.put(probe);
    cleanUps.push(() => serving.then((server) => server.close()));
    expect(await isGreeted(await serving, contextOptions(orders))).toBe(true);
  });
});

describe("a client", () => {
  test.each(badOnes)("calls nobody with a certificate %s", async (_, make) => {
    const { trusted: _theirs, ...bad } = await make("probe");
    const server = await serve(held({ ...bad, trusted: [authority.certificate] }), {
      read: () => Promise.reject(new Error("called all the same")),
    });
    expect(await ask(callerOf(server, held(orders)))).toBe("SERVICE_UNAVAILABLE");
  });

  test("believes no other authority, also where the environment tells Node to believe all", async () => {
    const { trusted: _theirs, ...bad } = await foreign.issue("probe");
    const server = await serve(held({ ...bad, trusted: [authority.certificate] }));
    vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
    cleanUps.push(() => vi.unstubAllEnvs());
    expect(await ask(callerOf(server, held(orders)))).toBe("SERVICE_UNAVAILABLE");
  });

  test("calls nobody who is another service than the one it wants", async () => {
    const server = await serve(held(await authority.issue("catalog")));
    expect(await ask(callerOf(server, held(orders)))).toBe("SERVICE_UNAVAILABLE");
  });

  test("waits for its own certificate, and then calls", async () => {
    const server = await serve(held(probe));
    const certificates = createCertificateHolder();
    const answer = ask(callerOf(server, certificates));
    certificates.put(orders);
    expect(await answer).toBe("orders");
  });

  test("waits no longer than the call may take", async () => {
    const server = await serve(held(probe));
    expect(await ask(callerOf(server, createCertificateHolder()), 50)).toBe("DEADLINE_EXCEEDED");
  });
});

describe("new certificates", () => {
  test("leave the calls that run alone, and stand under the next connection", async () => {
    const server = createCertificateHolder(probe);
    const client = createCertificateHolder(orders);
    const goOn = deferred<void>();
    const running = await serve(server, {
      async *watch() {
        yield probeResponse({ text: "before" });
        await goOn.promise;
        yield probeResponse({ text: "after" });
      },
    });
    const node = callerOf(running, client);
    const call = node.background({ name: "test", timeoutMs: 10_000 });
    const texts: string[] = [];
    for await (const { text } of node.client(ProbeService).watch(probeRequest(), call)) {
      texts.push(text);
      server.put(await authority.issue("probe"));
      client.put(await authority.issue("orders"));
      goOn.resolve();
    }
    expect(texts).toEqual(["before", "after"]);
    // The server's new certificate is the foreign authority's: only a new connection sees it.
    server.put(await foreign.issue("probe", { trusted: [authority.certificate] }));
    expect(await ask(node)).toBe("orders");
    expect(await ask(callerOf(running, held(orders)))).toBe("SERVICE_UNAVAILABLE");
    expect(await ask(callerOf(running, held({ ...orders, trusted: [foreign.certificate] })))).toBe("orders");
  });

  test("of another authority end the trust in the old one, also for sessions that could be taken up again", async () => {
    const server = createCertificateHolder(probe);
    const running = await serve(server);
    const ticket = await sessionTicket(running, contextOptions(orders));
    expect(await isGreeted(running, { ...contextOptions(orders), session: ticket })).toBe(true);
    server.put(await foreign.issue("probe"));
    expect(await isGreeted(running, { ...contextOptions(orders), session: ticket })).toBe(false);
    expect(await isGreeted(running, contextOptions(await foreign.issue("orders")))).toBe(true);
  });
});

test("another authority takes over under load without a failed call, and then nobody believes the old one", async () => {
  const trusted = [authority.certificate, foreign.certificate];
  const server = createCertificateHolder(probe);
  const client = createCertificateHolder(orders);
  const running = await serve(server);
  const node = callerOf(running, client);
  const answers = new Map<string, number>();
  let goesOn = true;
  const load = Array.from({ length: 8 }, async () => {
    while (goesOn) {
      const answer = await ask(node);
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    }
  });
  // A new connection each time, as they come by themselves, so that each step is seen on the wire.
  const arrive = async (certificates: Certificates): Promise<void> => {
    expect(await ask(callerOf(running, held(certificates)))).toBe("orders");
  };
  server.put({ ...probe, trusted });
  client.put({ ...orders, trusted });
  await arrive({ ...orders, trusted });
  client.put(await foreign.issue("orders", { trusted }));
  await arrive(await foreign.issue("orders", { trusted }));
  server.put(await foreign.issue("probe", { trusted }));
  await arrive({ ...orders, trusted });
  server.put(await foreign.issue("probe"));
  client.put(await foreign.issue("orders"));
  await arrive(await foreign.issue("orders"));
  expect(await ask(callerOf(running, held({ ...orders, trusted })))).toBe("SERVICE_UNAVAILABLE");
  goesOn = false;
  await Promise.all(load);
  expect([...answers.keys()]).toEqual(["orders"]);
});

/** What a client would show to take its session up again without a certificate. */
function sessionTicket({ host, port }: RunningServer, options: ConnectionOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, ALPNProtocols: ["h2"], rejectUnauthorized: false, ...options });
    socket.once("error", reject);
    socket.once("session", (ticket: Buffer) => {
      socket.destroy();
      resolve(ticket);
    });
  });
}
