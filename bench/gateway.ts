/**
 * What does a call cost more through the gateway than to its service directly? Run: `npx tsx bench/gateway.ts`.
 *
 * Backend, gateway and load are processes of their own. Direct and passed rounds alternate, so that whatever else the
 * machine does weighs on both; medians are printed, and the ratio of passed to direct.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import { Server } from "@grpc/grpc-js";
import { staticEndpoints } from "#mesh/discovery/endpoints.ts";
import { createCallStats } from "#mesh/rpc/call-stats.ts";
import { WorkloadServerCredentials } from "#mesh/rpc/credentials.ts";
import { type PortableCertificates, sourceOf } from "#testing/certificates.ts";
import { startGateway } from "../services/gateway/gateway.ts";
import { makeCertificates } from "./support/certificates.ts";

const ECHO_PATH = "/bench.v1.BenchService/Echo";
const ROUNDS = 7;
const WARM_UP_CALLS = 2_000;
const SEQUENTIAL_CALLS = 500;
const CONCURRENT_CALLS = 4_000;
const CONCURRENCY = 32;
const SMALL_BYTES = 100;
const BIG_BYTES = 8 * 1_024 * 1_024;
const BIG_CALLS = 4;

const echo = {
  path: ECHO_PATH,
  requestStream: false,
  responseStream: false,
  requestSerialize: (bytes: Buffer): Buffer => bytes,
  requestDeserialize: (bytes: Buffer): Buffer => bytes,
  responseSerialize: (bytes: Buffer): Buffer => bytes,
  responseDeserialize: (bytes: Buffer): Buffer => bytes,
};

interface Report {
  readonly port?: number;
  readonly cpuMs?: number;
}

/** What a child tells its parent: its port once, and its CPU time whenever it is asked. */
function report(port: number): void {
  process.send?.({ port } satisfies Report);
  process.on("message", () => {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpuMs: (user + system) / 1_000 } satisfies Report);
  });
  process.once("disconnect", () => process.exit(0));
}

function runBackend(certificates: PortableCertificates): void {
  const server = new Server({ "grpc.enable_channelz": 0, "grpc.max_receive_message_length": -1 });
  server.addService(
    { echo },
    { echo: (call: { request: Buffer }, done: (error: null, response: Buffer) => void) => done(null, call.request) },
  );
  const credentials = new WorkloadServerCredentials(sourceOf(certificates), "workloads");
  server.bindAsync("127.0.0.1:0", credentials, (error, port) => {
    if (error !== null) throw error;
    report(port);
  });
}

async function runGateway(certificates: PortableCertificates, backendPort: string): Promise<void> {
  const ignore = (): void => undefined;
  const gateway = await startGateway({
    host: "127.0.0.1",
    port: 0,
    contracts: [
      {
        name: "bench.v1.BenchService",
        owner: "bench",
        public: true,
        definition: { echo },
        methods: { echo: { deadlineMs: 60_000, idempotency: "UNKNOWN" } },
      },
    ],
    endpoints: staticEndpoints({ bench: [`127.0.0.1:${backendPort}`] }),
    payments: {
      handleWebhook: () => Promise.reject(new Error("nobody posts webhooks here")),
      call: () => {
        throw new Error("nobody posts webhooks here");
      },
    },
    certificates: sourceOf(certificates),
    stats: createCallStats(() => 0),
    descriptors: () => new Uint8Array(),
    log: { info: ignore, warn: ignore, error: ignore },
  });
  report(gateway.port);
}

async function start(role: string, ...args: readonly string[]): Promise<{ child: ChildProcess; port: number }> {
  const child = fork(import.meta.filename, [role, ...args]);
  const [message]: Report[] = await once(child, "message");
  return { child, port: message?.port ?? 0 };
}

async function cpuMs(child: ChildProcess): Promise<number> {
  const answer: Promise<Report[]> = once(child, "message");
  child.send("cpu");
  return (await answer)[0]?.cpuMs ?? 0;
}

function frame(bytes: number): Buffer {
  const framed = Buffer.alloc(bytes + 5, 1);
  framed.writeUInt8(0, 0);
  framed.writeUInt32BE(bytes, 1);
  return framed;
}

/** One call without a gRPC library, which would cost more than what is measured. */
function callOnce(session: ClientHttp2Session, body: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ":method": "POST",
      ":path": ECHO_PATH,
      "content-type": "application/grpc",
      te: "trailers",
    });
    let bytes = 0;
    let status: unknown;
    stream.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    stream.once("trailers", (trailers) => {
      status = trailers["grpc-status"];
    });
    stream.once("end", () => {
      if (status === "0" && bytes === body.length) resolve();
      else reject(new Error(`status ${String(status)} after ${bytes} bytes`));
    });
    stream.once("error", reject);
    stream.end(body);
  });
}

async function callMany(
  session: ClientHttp2Session,
  body: Buffer,
  calls: number,
  concurrency: number,
): Promise<number> {
  const startedAt = performance.now();
  let left = calls;
  const caller = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await callOnce(session, body);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, caller));
  return performance.now() - startedAt;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

interface Question {
  readonly name: string;
  readonly unit: string;
  readonly measure: (session: ClientHttp2Session) => Promise<number>;
}

const questions: readonly Question[] = [
  {
    name: "one call after another",
    unit: "µs a call",
    measure: async (session) =>
      ((await callMany(session, frame(SMALL_BYTES), SEQUENTIAL_CALLS, 1)) / SEQUENTIAL_CALLS) * 1_000,
  },
  {
    name: `${CONCURRENCY} calls at a time`,
    unit: "µs a call",
    measure: async (session) =>
      ((await callMany(session, frame(SMALL_BYTES), CONCURRENT_CALLS, CONCURRENCY)) / CONCURRENT_CALLS) * 1_000,
  },
  {
    name: "8 MiB there and back",
    unit: "ms a call",
    measure: async (session) => (await callMany(session, frame(BIG_BYTES), BIG_CALLS, 1)) / BIG_CALLS,
  },
];

async function main(): Promise<void> {
  const certificates = await makeCertificates("bench", "gateway");
  const backend = await start("backend", JSON.stringify(certificates.bench));
  const gateway = await start("gateway", JSON.stringify(certificates.gateway), String(backend.port));
  const { certificate, privateKey, trusted } = certificates.gateway;
  const direct = connect(`https://127.0.0.1:${backend.port}`, {
    cert: certificate,
    key: privateKey,
    ca: [...trusted],
    checkServerIdentity: () => undefined,
  });
  const passed = connect(`http://127.0.0.1:${gateway.port}`);
  for (const session of [direct, passed]) await callMany(session, frame(SMALL_BYTES), WARM_UP_CALLS, CONCURRENCY);

  for (const { name, unit, measure } of questions) {
    const times: { direct: number[]; passed: number[] } = { direct: [], passed: [] };
    for (let round = 0; round < ROUNDS; round++) {
      times.direct.push(await measure(direct));
      times.passed.push(await measure(passed));
    }
    const [plain, through] = [median(times.direct), median(times.passed)];
    print(name, `direct ${plain.toFixed(1)}, passed ${through.toFixed(1)} ${unit}`, `${(through / plain).toFixed(2)}×`);
  }
  for (const concurrency of [1, CONCURRENCY]) {
    const costs: { gateway: number[]; backend: number[] } = { gateway: [], backend: [] };
    for (let round = 0; round < ROUNDS; round++) {
      const before = [await cpuMs(gateway.child), await cpuMs(backend.child)] as const;
      await callMany(passed, frame(SMALL_BYTES), CONCURRENT_CALLS, concurrency);
      const perCall = (ms: number): number => (ms / CONCURRENT_CALLS) * 1_000;
      costs.gateway.push(perCall((await cpuMs(gateway.child)) - before[0]));
      costs.backend.push(perCall((await cpuMs(backend.child)) - before[1]));
    }
    const [own, bare] = [median(costs.gateway), median(costs.backend)];
    const values = `gateway ${own.toFixed(1)}, bare grpc-js server ${bare.toFixed(1)} µs a call`;
    print(`CPU, ${concurrency} at a time`, values, `${(own / bare).toFixed(2)}×`);
  }
  direct.close();
  passed.close();
  for (const { child } of [gateway, backend]) child.disconnect();
}

function print(...columns: readonly [name: string, values: string, ratio: string]): void {
  const [name, values, ratio] = columns;
  process.stdout.write(`${name.padEnd(26)} ${values.padEnd(56)} ${ratio}\n`);
}

const [role, certificates = "", port = ""] = process.argv.slice(2);
if (role === "backend") runBackend(JSON.parse(certificates));
else if (role === "gateway") await runGateway(JSON.parse(certificates), port);
else await main();
