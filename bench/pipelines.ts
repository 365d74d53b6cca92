/**
 * What do our pipelines cost, against bare grpc-js? Run: `npx tsx bench/pipelines.ts`, with
 * `--profile <directory>` for a CPU profile of each process as well.
 *
 * Both sides send and receive the same bytes: AdjustStock, about 100 bytes with four ruled fields, with a proof, a
 * user's token and a trace. The bare server runs the same handler under the same options; the bare client is the class
 * of grpc-js behind a promise. Servers and clients are processes of their own, and CPU time is theirs as the system
 * counts it. Bare and ours alternate, so that whatever else the machine does weighs on both.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Client, credentials, Metadata, Server, ServerCredentials } from "@grpc/grpc-js";
import { build } from "esbuild";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import type { AdjustStockRequest, AdjustStockResponse } from "#gen/shop/inventory/v1/inventory_service.ts";
import { readMeshConfig } from "#mesh/config.ts";
import { type Handlers, implement } from "#mesh/contract/contract.ts";
import { staticEndpoints } from "#mesh/discovery/endpoints.ts";
import { TOKEN_ALGORITHM } from "#mesh/identity/key-ring.ts";
import { TOKEN_AUDIENCE, TOKEN_ISSUER } from "#mesh/identity/user-tokens.ts";
import { sharedSecretIdentity } from "#mesh/identity/workload.ts";
import { createMeshNode } from "#mesh/mesh.ts";
import { CallContext } from "#mesh/rpc/call-context.ts";
import { grpcOptions } from "#mesh/rpc/server.ts";

const ROUNDS = 11;
// The compiler still works on a pipeline after tens of thousands of calls.
const WARM_UP_CALLS = 40_000;
const CALLS = 6_000;
const CONCURRENCY = 32;

const method = InventoryService.definition.adjustStock;
const request: AdjustStockRequest = {
  requestId: "req_01jw9z8k7m6n5p4q3r2s1t0v",
  sku: "BLDC-57-180-24V",
  delta: 12n,
  note: "delivery of the morning",
};
const response: AdjustStockResponse = {
  stock: { sku: request.sku, onHand: 112n, reserved: 10n, available: 102n, updateTime: new Date(1_780_000_000_000) },
};
const answer = async (_: AdjustStockRequest): Promise<AdjustStockResponse> => response;

type Variant = "bare" | "ours";

/** What each child is told when it is started. */
interface Setup {
  readonly token: string;
  readonly key: JWK;
}

// --- servers --------------------------------------------------------------------------------------------------------

type Done = (error: Error | null, value?: AdjustStockResponse) => void;

function serveBare(): Promise<number> {
  const server = new Server(grpcOptions);
  server.addService(
    { adjustStock: method },
    {
      adjustStock(call: { request: AdjustStockRequest }, done: Done) {
        answer(call.request).then((value) => done(null, value), done);
      },
    },
  );
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
}

async function serveOurs({ key }: Setup): Promise<number> {
  const node = createMeshNode("inventory", readMeshConfig(), { signingKeys: { keys: async () => [key] } });
  const unused = async (): Promise<never> => {
    throw new Error("not part of the measurement");
  };
  const handlers: Handlers<typeof InventoryService> = {
    adjustStock: answer,
    getStock: unused,
    batchGetStock: unused,
    createReservation: unused,
    getReservation: unused,
    commitReservation: unused,
    releaseReservation: unused,
    restockReservation: unused,
    listMovements: unused,
    async *watchStock() {},
  };
  const { port } = await node.serve({ services: [implement(InventoryService, handlers)] });
  return port;
}

// --- clients --------------------------------------------------------------------------------------------------------

type Caller = () => Promise<AdjustStockResponse>;

function callBare(port: number, { token }: Setup): Caller {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { "grpc.enable_channelz": 0 });
  const identity = sharedSecretIdentity("gateway", readMeshConfig().secret);
  const { path, requestSerialize, responseDeserialize } = method;
  return () => {
    const metadata = new Metadata();
    identity.prove(metadata);
    metadata.set("authorization", `Bearer ${token}`);
    metadata.set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    const options = { deadline: Date.now() + 5_000 };
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        options,
        (error, value) => (value === undefined ? reject(error) : resolve(value)),
      );
    });
  };
}

/** Every call is made for a fresh `Call`, as that of a handler is. */
function callOurs(port: number, { token }: Setup): Caller {
  const endpoints = staticEndpoints({ inventory: [`127.0.0.1:${port}`] });
  const node = createMeshNode("gateway", readMeshConfig(), { endpoints });
  const inventory = node.client(InventoryService);
  const { method: info, trace } = node.background({ name: "bench", timeoutMs: 0 });
  return () => {
    const deadline = Date.now() + 5_000;
    const init = { method: info, deadline, caller: "gateway", user: undefined, token, trace, log: () => node.log };
    return inventory.adjustStock(request, new CallContext(init));
  };
}

// --- processes ------------------------------------------------------------------------------------------------------

type Order =
  | { readonly role: "server"; readonly variant: Variant; readonly setup: Setup }
  | { readonly role: "client"; readonly variant: Variant; readonly setup: Setup; readonly port: number }
  | { readonly role: "run"; readonly calls: number }
  | { readonly role: "cpu" };

async function runChild(): Promise<void> {
  let call: Caller | undefined;
  process.on("message", async (order: Order) => {
    if (order.role === "server") {
      process.send?.(await (order.variant === "bare" ? serveBare() : serveOurs(order.setup)));
    } else if (order.role === "client") {
      call = (order.variant === "bare" ? callBare : callOurs)(order.port, order.setup);
      process.send?.(0);
    } else if (order.role === "run") {
      process.send?.(await runCalls(call ?? (() => Promise.reject(new Error("not connected"))), order.calls));
    } else {
      const { user, system } = process.cpuUsage();
      process.send?.(user + system);
    }
  });
  process.once("disconnect", () => process.exit(0));
}

/** Makes `calls` calls, always as many at a time as may be. Returns how long it took, in ms. */
async function runCalls(call: Caller, calls: number): Promise<number> {
  const startedAt = performance.now();
  let begun = 0;
  const worker = async (): Promise<void> => {
    while (begun < calls) {
      begun += 1;
      await call();
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  return performance.now() - startedAt;
}

interface Child {
  readonly process: ChildProcess;
  ask(order: Order): Promise<number>;
}

/** Bundles this file as the services are, because the loader that runs it here adds costs of its own to every closure. */
async function bundle(): Promise<string> {
  const outfile = fileURLToPath(new URL("../dist/bench/pipelines.js", import.meta.url));
  const entryPoints = [fileURLToPath(import.meta.url)];
  await build({ entryPoints, outfile, bundle: true, packages: "external", platform: "node", format: "esm" });
  return outfile;
}

function startChild(file: string, profiles: string | undefined): Child {
  const child = fork(file, ["child"], {
    execArgv: profiles === undefined ? [] : ["--cpu-prof", "--cpu-prof-dir", profiles],
    env: { SHOPMESH_SECRET: "the secret of this measurement" },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  let reply: (value: number) => void = () => {};
  child.on("message", (value) => reply(Number(value)));
  child.on("exit", () => reply(Number.NaN)); // the figures will show it
  return {
    process: child,
    ask(order) {
      child.send(order);
      return new Promise((resolve) => {
        reply = resolve;
      });
    },
  };
}

/** CPU time of both sides for each call of one run, in microseconds. */
async function measure(server: Child, client: Child): Promise<{ readonly server: number; readonly client: number }> {
  const before = [await server.ask({ role: "cpu" }), await client.ask({ role: "cpu" })] as const;
  await client.ask({ role: "run", calls: CALLS });
  const after = [await server.ask({ role: "cpu" }), await client.ask({ role: "cpu" })] as const;
  return { server: (after[0] - before[0]) / CALLS, client: (after[1] - before[1]) / CALLS };
}

async function makeSetup(): Promise<Setup> {
  const { publicKey, privateKey } = await generateKeyPair(TOKEN_ALGORITHM, { extractable: true });
  const token = await new SignJWT({ kind: "customer", roles: ["admin"], sid: "ses_01jw9z8k7m6n5p4q3r2s1t0v9x" })
    .setProtectedHeader({ alg: TOKEN_ALGORITHM, kid: "bench" })
    .setIssuer(TOKEN_ISSUER)
    .setAudience(TOKEN_AUDIENCE)
    .setSubject("usr_01jw9z8k7m6n5p4q3r2s1t0v9x")
    .setIssuedAt()
    .setExpirationTime("15m")
    .sign(privateKey);
  return { token, key: { ...(await exportJWK(publicKey)), kid: "bench" } };
}

async function main(profiles: string | undefined): Promise<void> {
  const setup = await makeSetup();
  const file = await bundle();
  const children: Child[] = [];
  const start = (): Child => {
    const child = startChild(file, profiles);
    children.push(child);
    return child;
  };
  const connect = async (variant: Variant, port: number): Promise<Child> => {
    const client = start();
    await client.ask({ role: "client", variant, setup, port });
    return client;
  };
  try {
    const bareServer = start();
    const ourServer = start();
    const barePort = await bareServer.ask({ role: "server", variant: "bare", setup });
    const ourPort = await ourServer.ask({ role: "server", variant: "ours", setup });
    const pairs = {
      bare: { server: bareServer, client: await connect("bare", barePort) },
      ourServer: { server: ourServer, client: await connect("bare", ourPort) },
      ourClient: { server: bareServer, client: await connect("ours", barePort) },
    };
    for (const { client } of Object.values(pairs)) await client.ask({ role: "run", calls: WARM_UP_CALLS });
    const figures = { bareServer: [], ourServer: [], bareClient: [], ourClient: [] } as Record<string, number[]>;
    for (let round = 0; round < ROUNDS; round++) {
      const bare = await measure(pairs.bare.server, pairs.bare.client);
      figures.bareServer?.push(bare.server);
      figures.bareClient?.push(bare.client);
      figures.ourServer?.push((await measure(pairs.ourServer.server, pairs.ourServer.client)).server);
      figures.ourClient?.push((await measure(pairs.ourClient.server, pairs.ourClient.client)).client);
    }
    print("server", figures.bareServer ?? [], figures.ourServer ?? []);
    print("client", figures.bareClient ?? [], figures.ourClient ?? []);
  } finally {
    for (const { process: child } of children) child.disconnect();
  }
}

function print(side: string, bare: readonly number[], ours: readonly number[]): void {
  const [bareUs, oursUs] = [median(bare), median(ours)];
  const figures = `bare ${bareUs.toFixed(1)} µs, ours ${oursUs.toFixed(1)} µs, ratio ${(oursUs / bareUs).toFixed(2)}`;
  process.stdout.write(`${side}: CPU per unary call, median of ${bare.length} rounds of ${CALLS}: ${figures}\n`);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

const [argument, directory] = process.argv.slice(2);
await (argument === "child" ? runChild() : main(argument === "--profile" ? directory : undefined));
