import { EventEmitter, once } from "node:events";
import {
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type MethodDefinition,
  Server,
  type ServiceDefinition,
  status,
} from "@grpc/grpc-js";
import type { Idempotency } from "#mesh/contract/contract.ts";
import { createCertificateHolder } from "#mesh/identity/certificates.ts";
import { WorkloadServerCredentials } from "#mesh/rpc/credentials.ts";
import { createHealth, type Health } from "#mesh/rpc/health.ts";
import { testCertificates } from "#testing/certificates.ts";
import type { RoutedContract } from "../routes.ts";

const TOY_SERVICE = "toy.v1.ToyService";

/** The methods of the toy service. Messages are plain bytes, so that what is compared is what travelled. */
export const toy = {
  echo: method("Echo", false, false),
  fail: method("Fail", false, false),
  hang: method("Hang", false, false),
  collect: method("Collect", true, false),
  refuse: method("Refuse", true, false),
  flood: method("Flood", false, true),
  chat: method("Chat", true, true),
  ignore: method("Ignore", true, true),
} satisfies ServiceDefinition;

function method(name: string, requestStream: boolean, responseStream: boolean): MethodDefinition<Buffer, Buffer> {
  const same = (bytes: Buffer): Buffer => bytes;
  return {
    path: `/${TOY_SERVICE}/${name}`,
    requestStream,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

/** The contract of the toy service, as code generation writes them; no method may happen twice unless told otherwise. */
export function toyContractOf(idempotency: Idempotency): RoutedContract {
  const methods = Object.fromEntries(Object.keys(toy).map((key) => [key, { deadlineMs: 60_000, idempotency }]));
  return { name: TOY_SERVICE, owner: "toy", public: true, definition: toy, methods };
}

export const toyContract = toyContractOf("UNKNOWN");

export interface ToyBackend {
  readonly port: number;
  readonly address: string;
  readonly health: Health;
  /** Metadata of the calls that arrived, in order. */
  readonly seen: Metadata[];
  /** Emits "call" (method) when one arrives, "cancelled" (method) when one was given up, "sent" (bytes) as Flood writes. */
  readonly events: EventEmitter;
  /** Bytes that Flood has written so far. */
  floodedBytes(): number;
  /** Ends gracefully: GOAWAY, running calls finish. */
  drain(): Promise<void>;
  /** Ends as a killed process does. */
  kill(): void;
}

/** What `Fail` ends with. */
export const failure = {
  code: status.FAILED_PRECONDITION,
  details: "nicht genug – 3 left, 100%",
  bytes: Buffer.from([0, 1, 2, 255, 254, 10, 13]),
};

/** A real grpc-js server with one service; `port` 0 takes a free one. It proves to be `service`. */
export async function startToyBackend(port = 0, service = "toy"): Promise<ToyBackend> {
  const events = new EventEmitter();
  const seen: Metadata[] = [];
  let flooded = 0;
  const arrived = (name: string, call: { metadata: Metadata } & NodeJS.EventEmitter): void => {
    seen.push(call.metadata);
    call.on("cancelled", () => events.emit("cancelled", name));
    events.emit("call", name);
  };
  // With channelz, without which grpc-js doesn't cut connections in forceShutdown.
  const server = new Server({ "grpc.max_receive_message_length": -1 });
  const handlers = toyHandlers(arrived, (bytes) => {
    flooded += bytes;
    events.emit("sent", bytes);
  });
  server.addService(toy, handlers);
  const health = createHealth([]);
  server.addService(health.service.definition, health.service.implementation);
  health.setServing(true);
  const source = createCertificateHolder(await testCertificates(service));
  const credentials = new WorkloadServerCredentials(source, "workloads");
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, taken) =>
      error === null ? resolve(taken) : reject(error),
    );
  });
  return {
    port: bound,
    address: `127.0.0.1:${bound}`,
    health,
    seen,
    events,
    floodedBytes: () => flooded,
    drain() {
      health.close();
      return new Promise((resolve, reject) => server.tryShutdown((error) => (error ? reject(error) : resolve())));
    },
    kill: () => server.forceShutdown(),
  };
}

interface ToyHandlers {
  readonly [name: string]: unknown;
  readonly echo: handleUnaryCall<Buffer, Buffer>;
  readonly fail: handleUnaryCall<Buffer, Buffer>;
  readonly hang: handleUnaryCall<Buffer, Buffer>;
  readonly collect: handleClientStreamingCall<Buffer, Buffer>;
  readonly refuse: handleClientStreamingCall<Buffer, Buffer>;
  readonly flood: handleServerStreamingCall<Buffer, Buffer>;
  readonly chat: handleBidiStreamingCall<Buffer, Buffer>;
  readonly ignore: handleBidiStreamingCall<Buffer, Buffer>;
}

type Arrived = (name: string, call: { metadata: Metadata } & NodeJS.EventEmitter) => void;

function toyHandlers(arrived: Arrived, onFlooded: (bytes: number) => void): Record<string, never> & ToyHandlers {
  const handlers: ToyHandlers = {
    echo(call, done) {
      arrived("echo", call);
      const answer = new Metadata();
      for (const key of Object.keys(call.metadata.getMap())) {
        if (key.startsWith("x-")) for (const value of call.metadata.get(key)) answer.add(key, value);
      }
      answer.set("shopmesh-secret", "internal");
      call.sendMetadata(answer);
      const trailers = new Metadata();
      trailers.set("x-end-bin", failure.bytes);
      trailers.set("shopmesh-secret", "internal");
      done(null, call.request, trailers);
    },
    fail(call, done) {
      arrived("fail", call);
      const metadata = new Metadata();
      metadata.set("grpc-status-details-bin", failure.bytes);
      metadata.add("x-note", "one");
      metadata.add("x-note", "two");
      done({ code: failure.code, details: failure.details, metadata });
    },
    hang: (call) => arrived("hang", call),
    collect(call, done) {
      arrived("collect", call);
      const chunks: Buffer[] = [];
      call.on("data", (chunk: Buffer) => chunks.push(chunk));
      call.on("end", () => done(null, Buffer.concat(chunks)));
    },
    refuse(call, done) {
      arrived("refuse", call);
      call.once("data", () => done({ code: status.ABORTED, details: "heard enough" }));
    },
    flood(call) {
      arrived("flood", call);
      const count = call.request.readUInt32BE(0);
      const message = Buffer.alloc(call.request.readUInt32BE(4), 7);
      flood(call, message, count, onFlooded).catch(() => call.end());
    },
    chat(call) {
      arrived("chat", call);
      call.on("data", (chunk: Buffer) => call.write(chunk));
      call.on("end", () => call.end());
    },
    ignore: (call) => arrived("ignore", call), // never reads
  };
  return handlers as Record<string, never> & ToyHandlers; // grpc-js wants an index signature of handlers; these are
}

async function flood(
  call: Parameters<handleServerStreamingCall<Buffer, Buffer>>[0],
  message: Buffer,
  count: number,
  onFlooded: (bytes: number) => void,
): Promise<void> {
  const giveUp = new AbortController();
  call.once("cancelled", () => giveUp.abort());
  const { signal } = giveUp;
  for (let i = 0; i < count; i++) {
    const more = call.write(message);
    onFlooded(message.length);
    if (!more) await once(call, "drain", { signal });
  }
  call.end();
}

/** What `Flood` is asked with: how many messages, each how long. */
export function floodRequest(count: number, bytes: number): Buffer {
  const request = Buffer.alloc(8);
  request.writeUInt32BE(count, 0);
  request.writeUInt32BE(bytes, 4);
  return request;
}
