import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type OutgoingHttpHeaders } from "node:http2";
import {
  type ClientUnaryCall,
  credentials,
  Metadata as GrpcMetadata,
  type Metadata,
  makeGenericClientConstructor,
  type ServiceError,
} from "@grpc/grpc-js";
import { expect } from "vitest";
import { ErrorInfo } from "#gen/google/rpc/error_details.ts";
import { Status } from "#gen/google/rpc/status.ts";
import { type EndpointSource, staticEndpoints } from "#mesh/discovery/endpoints.ts";
import { createCertificateHolder } from "#mesh/identity/certificates.ts";
import { type CallStats, createCallStats } from "#mesh/rpc/call-stats.ts";
import { readDescriptors } from "#mesh/rpc/descriptors.ts";
import { testCertificates } from "#testing/certificates.ts";
import { type RunningGateway, startGateway } from "../gateway.ts";
import { defaultLimits, type GatewayLimits } from "../limits.ts";
import type { RoutedContract } from "../routes.ts";
import type { WebhookSink } from "../webhooks/webhook.ts";
import { startToyBackend, type ToyBackend, toy, toyContract } from "./toy-backend.ts";

/** Closes what a test opened, last first. Call it in `afterEach`. */
export function createCleanup(): { add(close: () => unknown): void; run(): Promise<void> } {
  const closers: (() => unknown)[] = [];
  return {
    add: (close) => closers.push(close),
    async run() {
      for (const close of closers.splice(0).reverse()) await close();
    },
  };
}

export type Cleanup = ReturnType<typeof createCleanup>;

/** How long a busy machine may take over what is waited for. */
const PATIENCE_MS = 10_000;

/** Looks again and again, every `intervalMs`, until what it sees is what the matcher after it wants. */
export function eventually<T>(look: () => T, intervalMs = 20): ReturnType<typeof expect.poll<T>> {
  return expect.poll(look, { timeout: PATIENCE_MS, interval: intervalMs });
}

export interface LogLine {
  readonly message: string;
  readonly [field: string]: unknown;
}

export interface TestGateway extends RunningGateway {
  readonly address: string;
  readonly lines: LogLine[];
  readonly stats: CallStats;
}

export interface TestGatewayOptions {
  /** The instances of each owner, as `host:port` … */
  readonly targets?: Readonly<Record<string, readonly string[]>>;
  /** … or a source that tells changes. */
  readonly endpoints?: EndpointSource;
  readonly contracts?: readonly RoutedContract[];
  readonly needed?: readonly string[];
  readonly limits?: Partial<GatewayLimits>;
  readonly descriptors?: () => Uint8Array;
  /** Who takes webhooks in; nobody is there unless given. */
  readonly payments?: WebhookSink;
}

/** What is found where payments should be, when it is away. */
export const noPayments: WebhookSink = {
  handleWebhook: () => Promise.reject(new Error("no payments in this test")),
  call: () => {
    throw new Error("no payments in this test");
  },
};

/** The real gateway on a free port. */
export async function startTestGateway(cleanup: Cleanup, options: TestGatewayOptions): Promise<TestGateway> {
  const lines: LogLine[] = [];
  const write = (fields: unknown, message?: string): void => {
    lines.push({ ...(typeof fields === "object" ? fields : {}), message: message ?? "" });
  };
  const stats = createCallStats(() => options.limits?.maxCalls ?? defaultLimits.maxCalls);
  const gateway = await startGateway({
    host: "127.0.0.1",
    port: 0,
    contracts: options.contracts ?? [toyContract],
    endpoints: options.endpoints ?? staticEndpoints(options.targets ?? {}),
    payments: options.payments ?? noPayments,
    certificates: createCertificateHolder(await testCertificates("gateway")),
    descriptors: options.descriptors ?? readDescriptors,
    stats,
    log: { info: write, warn: write, error: write },
    // Shutdown is waited for by each test; those that test it set their own.
    needed: options.needed,
    limits: { shutdownMs: 500, goawayPauseMs: 20, ...options.limits },
  });
  cleanup.add(() => gateway.close());
  return { ...gateway, address: `127.0.0.1:${gateway.port}`, lines, stats };
}

/** The gateway before one toy backend, and a client. */
export async function startPair(
  cleanup: Cleanup,
  limits?: Partial<GatewayLimits>,
): Promise<{ backend: ToyBackend; gateway: TestGateway; client: ToyClient }> {
  const backend = await startToyBackend();
  cleanup.add(() => backend.kill());
  const gateway = await startTestGateway(cleanup, { targets: { toy: [backend.address] }, limits });
  return { backend, gateway, client: toyClient(cleanup, gateway.address) };
}

const ToyClient = makeGenericClientConstructor(toy, "ToyService");
type ToyClient = InstanceType<typeof ToyClient>;

export interface UnaryAnswer {
  readonly bytes: Buffer;
  readonly headers: Metadata;
  readonly trailers: Metadata;
}

export function toyClient(cleanup: Cleanup, address: string, options = {}): ToyClient {
  const client = new ToyClient(address, credentials.createInsecure(), {
    "grpc.max_receive_message_length": -1,
    // Each client a connection of its own, and failures shown as they come.
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_retries": 0,
    ...options,
  });
  cleanup.add(() => client.close());
  return client;
}

/** A unary call; rejects with the ServiceError. */
export function unary(
  client: ToyClient,
  name: "echo" | "fail" | "hang",
  bytes: Buffer,
  metadata: Metadata = new GrpcMetadata(),
): Promise<UnaryAnswer> & { readonly call: ClientUnaryCall } {
  let headers = new GrpcMetadata();
  let trailers = new GrpcMetadata();
  let call: ClientUnaryCall | undefined;
  const answer = new Promise<UnaryAnswer>((resolve, reject) => {
    const { path, requestSerialize, responseDeserialize } = toy[name];
    call = client.makeUnaryRequest(path, requestSerialize, responseDeserialize, bytes, metadata, (error, response) => {
      // The status comes after the response, in the same turn.
      setImmediate(() =>
        error === null ? resolve({ bytes: response ?? Buffer.alloc(0), headers, trailers }) : reject(error),
      );
    });
    call.on("metadata", (given) => {
      headers = given;
    });
    call.on("status", (status) => {
      trailers = status.metadata;
    });
  });
  if (call === undefined) throw new Error("the executor ran");
  return Object.assign(answer, { call });
}

/** The ErrorInfo in a failure's details. */
export function errorInfoOf(error: Pick<ServiceError, "metadata">): ErrorInfo {
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  if (!Buffer.isBuffer(bytes)) throw new Error("no details");
  const detail = Status.decode(bytes).details.find(({ typeUrl }) => typeUrl.endsWith("/google.rpc.ErrorInfo"));
  if (detail === undefined) throw new Error("no ErrorInfo");
  return ErrorInfo.decode(detail.value);
}

/** The error a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<ServiceError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error && "metadata" in error) return error as ServiceError; // what grpc-js rejects with
    throw error;
  }
  throw new Error("it succeeded");
}

/** A connection without a gRPC library above it. */
export async function rawSession(cleanup: Cleanup, address: string): Promise<ClientHttp2Session> {
  const session = connect(`http://${address}`);
  session.on("error", () => undefined);
  cleanup.add(() => session.destroy());
  await once(session, "remoteSettings");
  return session;
}

export function rawCall(session: ClientHttp2Session, headers: OutgoingHttpHeaders = {}): ClientHttp2Stream {
  const stream = session.request({
    ":method": "POST",
    ":path": toy.echo.path,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  stream.on("error", () => undefined);
  return stream;
}
