import {
  createSecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import { contextOptions } from "#mesh/identity/tls.ts";
import { testCertificates } from "#testing/certificates.ts";
import type { Cleanup } from "./setup.ts";

export interface RawBackend {
  readonly address: string;
  /** Header blocks of the calls that arrived, in order. */
  readonly seen: IncomingHttpHeaders[];
  readonly sessions: ReadonlySet<ServerHttp2Session>;
  readonly sockets: ReadonlySet<Socket>;
}

/** An HTTP/2 server without a gRPC library, for what such libraries don't do on purpose. */
export async function startRawBackend(
  cleanup: Cleanup,
  onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
  options: { readonly maxConcurrentStreams?: number } = {},
): Promise<RawBackend> {
  const seen: IncomingHttpHeaders[] = [];
  const sessions = new Set<ServerHttp2Session>();
  const sockets = new Set<Socket>();
  const server = createSecureServer({ settings: options, ...(await secured()) });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    session.on("error", () => undefined);
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    // The gateway's own question, which is no call of a test's.
    if (headers[":path"] === "/grpc.health.v1.Health/Watch") return;
    seen.push(headers);
    onStream(stream, headers);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("a TCP server has an address");
  cleanup.add(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const session of sessions) session.destroy();
    await closed;
  });
  return { address: `127.0.0.1:${address.port}`, seen, sessions, sockets };
}

/** Every server of the mesh wants a certificate. */
async function secured() {
  return { ...contextOptions(await testCertificates("toy")), requestCert: true, ALPNProtocols: ["h2"] };
}

/** Answers a call with an empty message and OK. */
export function answerOk(stream: ServerHttp2Stream): void {
  stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.end(Buffer.alloc(5));
  stream.resume();
}

const PREFACE_BYTES = 24;
const FRAME_HEADER_BYTES = 9;
const HEADERS = 1;
const SETTINGS = 4;

function http2Frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(FRAME_HEADER_BYTES);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

/** Speaks HTTP/2 by hand, for answers that Node refuses to give: ends each request with this header block. */
export async function startFrameBackend(cleanup: Cleanup, headerBlock: Buffer): Promise<string> {
  const sockets = new Set<TLSSocket>();
  const server = createTlsServer(await secured(), (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.write(http2Frame(SETTINGS, 0, 0, Buffer.alloc(0)));
    let received = Buffer.alloc(0);
    let skip = PREFACE_BYTES;
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= skip + FRAME_HEADER_BYTES) {
        const frame = received.subarray(skip);
        // END_STREAM and END_HEADERS
        if (frame.readUInt8(3) === HEADERS) socket.write(http2Frame(HEADERS, 0x5, frame.readUInt32BE(5), headerBlock));
        skip += FRAME_HEADER_BYTES + frame.readUIntBE(0, 3);
      }
    });
  });
  return listenTcp(cleanup, server, sockets);
}

/** Says that it takes calls, and never reads one: what a stopped process looks like from outside. */
export async function startDeafBackend(cleanup: Cleanup): Promise<string> {
  const sockets = new Set<TLSSocket>();
  const server = createTlsServer(await secured(), (socket) => {
    socket.pause();
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.write(http2Frame(SETTINGS, 0, 0, Buffer.alloc(0)));
  });
  return listenTcp(cleanup, server, sockets);
}

async function listenTcp(cleanup: Cleanup, server: TlsServer, sockets: ReadonlySet<TLSSocket>): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanup.add(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("a TCP server has an address");
  return `127.0.0.1:${address.port}`;
}
