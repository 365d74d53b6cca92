/**
 * What do our pipelines cost, against bare grpc-js? Run: `npx tsx bench/pipelines.ts`, with
 * `--profile <directory>` for a CPU profile of each process as well.
 *
 * Both sides send and receive the same bytes, over mutual TLS: AdjustStock, about 100 bytes with four ruled fields, with
 * a user's token and a trace. The bare server runs the same handler under the same options; the bare client is the class
 * of grpc-js behind a promise. Servers and clients are processes of their own, and CPU time is theirs as the system
 * counts it. Bare and ours alternate, so that whatever else the machine does weighs on both.
 */
import { type ChildProcess, fork } from "node:child_process";
import { loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { TOKEN_ALGORITHM } from "#mesh/identity/key-ring.ts";
import { TOKEN_AUDIENCE, TOKEN_ISSUER } from "#mesh/identity/user-tokens.ts";
import { createTestAuthority } from "#testing/authority.ts";

import {
  type Caller,
  callBare,
  callOurs,
  type Setup,
  serveBare,
  serveOurs,
  type Variant,
} from "./support/pipeline-sides.ts";

const ROUNDS = 7;
// The compiler still works on a pipeline after tens of thousands of calls.
const WARM_UP_CALLS = 25_000;
const CALLS = 4_000;
// So many are let in at the least, however busy the machine.
const CONCURRENCY = 24;

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
      process.send?.(await (order.variant === "bare" ? serveBare : serveOurs)(order.setup));
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
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    serialization: "advanced",
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
  const authority = await createTestAuthority();
  const certificates = { inventory: await authority.issue("inventory"), gateway: await authority.issue("gateway") };
  const key = { ...(await exportJWK(publicKey)), kid: "bench" };
  return { token, key, certificates };
}

async function main(profiles: string | undefined): Promise<void> {
  const file = await bundle();
  process.stdout.write(
    `load average ${loadavg()
      .map((one) => one.toFixed(1))
      .join(", ")}\n`,
  );
  await compare("mutual TLS", file, await makeSetup(), profiles);
}

async function compare(name: string, file: string, setup: Setup, profiles: string | undefined): Promise<void> {
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
    print(`${name}, server`, figures.bareServer ?? [], figures.ourServer ?? []);
    print(`${name}, client`, figures.bareClient ?? [], figures.ourClient ?? []);
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
