import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { DestinationStream } from "pino";
import { type Clock, systemClock } from "#mesh/clock.ts";
import type { MeshConfig } from "#mesh/config.ts";
import type { Implementation } from "#mesh/contract/contract.ts";
import { type Cluster, type Endpoint, type EndpointSource, plainCluster } from "#mesh/discovery/endpoints.ts";
import { type SigningKeySource, TOKEN_ALGORITHM } from "#mesh/identity/key-ring.ts";
import { TOKEN_AUDIENCE, TOKEN_ISSUER } from "#mesh/identity/user-tokens.ts";
import { newId } from "#mesh/ids.ts";
import { createMeshNode, type MeshNode, type MeshParts } from "#mesh/mesh.ts";
import type { Call, User } from "#mesh/rpc/call.ts";
import { MAX_CONCURRENT_CALLS } from "#mesh/rpc/limits.ts";
import { createLogger } from "#mesh/telemetry/log.ts";
import { testSource } from "./certificates.ts";

/** Several services in this process, joined by real sockets, certificates and tokens. */
export interface TestMesh {
  /** The mesh as some workload sees it: one that serves here, or any other, such as `gateway` or `operator`. */
  mesh(workload: string): MeshNode;
  /**
   * A call to pass to a client of `mesh("gateway")`. With a user it carries that user's token: a customer without
   * roles unless told otherwise.
   */
  call(options?: TestCallOptions): Call;
  /** A token of that user, as identity would issue it. */
  token(user?: Partial<User>, options?: TestTokenOptions): string;
  /** The address at which a service listens: `127.0.0.1:4321`. */
  address(owner: string): string;
  /** What all workloads have logged so far, at info and above. */
  readonly logs: readonly LogLine[];
  close(): Promise<void>;
}

export interface TestCallOptions {
  readonly user?: Partial<User>;
  /** The token as it is, for tests of bad ones. */
  readonly token?: string;
  /** 10 s unless given. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** From where the gateway says it has the call. */
  readonly clientAddress?: string;
}

export interface TestTokenOptions {
  /** 15 minutes unless given; negative for one that has expired. */
  readonly lifetimeMs?: number;
  readonly keyId?: string;
}

export type LogLine = Readonly<Record<string, unknown>>;

export type TestMeshOptions = Partial<Omit<MeshParts, "log" | "endpoints" | "signingKeys">>;

/** Makes the services of one process, given its mesh. */
export type ServiceFactory = (mesh: MeshNode) => readonly Implementation[] | Promise<readonly Implementation[]>;

const DEFAULT_TIMEOUT_MS = 10_000;
const TOKEN_LIFETIME_MS = 15 * 60_000;
const KEY_ID = "test-key";

/** Starts services on free ports of the loopback interface. Close it when the test ends. */
export async function startTestMesh(
  services: Readonly<Record<string, ServiceFactory>>,
  options: TestMeshOptions = {},
): Promise<TestMesh> {
  const clock = options.clock ?? systemClock;
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const signingKeys = testKeys(publicKey);
  const endpoints = movingEndpoints();
  const logs: LogLine[] = [];
  const nodes = new Map<string, MeshNode>();
  const closers: (() => Promise<void>)[] = [];

  const mesh = (workload: string): MeshNode => {
    const known = nodes.get(workload);
    if (known !== undefined) return known;
    const log = createLogger({ workload, instance: "1", version: "test", level: "info", destination: collector(logs) });
    // Every service is up before the test begins, so nobody has to wait for one; and a machine that runs many tests at
    // once is slow, which is no reason to refuse any call of theirs.
    const parts = {
      startupGraceMs: 0,
      minConcurrentCalls: MAX_CONCURRENT_CALLS,
      ...options,
      clock,
      log,
      endpoints,
      signingKeys,
    };
    const node = createTestNode(workload, parts);
    nodes.set(workload, node);
    return node;
  };
  for (const [owner, makeServices] of Object.entries(services)) {
    const node = mesh(owner);
    const server = await node.serve({ services: await makeServices(node) });
    endpoints.set(owner, { host: server.host, port: server.port });
    closers.unshift(() => server.close());
  }
  const token = (user: Partial<User> = {}, tokenOptions: TestTokenOptions = {}) =>
    signToken(privateKey, { ...defaultUser(), ...user }, clock, tokenOptions);
  return {
    mesh,
    call: ({ user, token: given, timeoutMs = DEFAULT_TIMEOUT_MS, signal, clientAddress } = {}) => {
      const bearer = given ?? (user === undefined ? undefined : token(user));
      return mesh("gateway").background({ name: "test", timeoutMs, signal, token: bearer, clientAddress });
    },
    token,
    address: (owner) => endpoints.addressOf(owner),
    logs,
    async close() {
      for (const node of nodes.values()) node.close();
      for (const close of closers) await close();
    },
  };
}

/** A node of a mesh, with a certificate of the test's authority. It listens on any free port unless told otherwise. */
export function createTestNode(
  workload: string,
  parts: Partial<MeshParts>,
  port?: number,
  settings?: Partial<MeshConfig>,
): MeshNode {
  return createMeshNode(workload, testConfig(port, settings), { certificates: testSource(workload), ...parts });
}

/** The settings of a workload of a test, on any free port unless told otherwise. Tests open databases by themselves. */
export function testConfig(port = 0, settings: Partial<MeshConfig> = {}): MeshConfig {
  return {
    listen: { host: "127.0.0.1", port },
    advertise: "127.0.0.1",
    control: undefined,
    discovery: "mesh",
    dnsTarget: undefined,
    targets: {},
    get join(): never {
      throw new Error("the nodes of tests are given their certificates");
    },
    logLevel: "info",
    instance: "1",
    version: "test",
    databaseUrl: "",
    ...settings,
  };
}

/** Endpoints that a test mesh learns as its services come up. */
function movingEndpoints(): EndpointSource & {
  set(owner: string, endpoint: Endpoint): void;
  addressOf(owner: string): string;
} {
  const known = new Map<string, Endpoint>();
  const listeners = new Map<string, Set<(cluster: Cluster) => void>>();
  return {
    watch(owner, listener) {
      const ofOwner = listeners.get(owner) ?? new Set();
      listeners.set(owner, ofOwner.add(listener));
      const endpoint = known.get(owner);
      listener(plainCluster(endpoint === undefined ? [] : [endpoint]));
      return () => ofOwner.delete(listener);
    },
    set(owner, endpoint) {
      known.set(owner, endpoint);
      for (const listener of listeners.get(owner) ?? []) listener(plainCluster([endpoint]));
    },
    addressOf(owner) {
      const endpoint = known.get(owner);
      if (endpoint === undefined) throw new Error(`no service ${owner} runs in this test`);
      return `${endpoint.host}:${endpoint.port}`;
    },
  };
}

function testKeys(publicKey: KeyObject): SigningKeySource {
  const { kty, crv, x } = publicKey.export({ format: "jwk" });
  return { keys: async () => [{ kty, crv, x, kid: KEY_ID }] };
}

function defaultUser(): User {
  return { id: newId("usr"), kind: "customer", roles: [], sessionId: newId("ses") };
}

/** A token as identity makes them, but synchronously, which spares tests an await on every call. */
function signToken(key: KeyObject, user: User, clock: Clock, options: TestTokenOptions): string {
  const { lifetimeMs = TOKEN_LIFETIME_MS, keyId = KEY_ID } = options;
  const issuedAt = Math.floor(clock.now().getTime() / 1_000);
  const claims = {
    iss: TOKEN_ISSUER,
    aud: TOKEN_AUDIENCE,
    sub: user.id,
    kind: user.kind,
    roles: user.roles,
    sid: user.sessionId,
    iat: issuedAt,
    exp: issuedAt + Math.floor(lifetimeMs / 1_000),
  };
  const signed = `${base64Json({ alg: TOKEN_ALGORITHM, kid: keyId })}.${base64Json(claims)}`;
  return `${signed}.${sign(null, Buffer.from(signed), key).toString("base64url")}`;
}

function base64Json(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function collector(logs: LogLine[]): DestinationStream {
  return {
    write(line) {
      logs.push(JSON.parse(line));
    },
  };
}
