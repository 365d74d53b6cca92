import { type ClientHttp2Session, connect, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http2";
import { connect as connectTls } from "node:tls";
import { Metadata } from "@grpc/grpc-js";
import type { RpcError } from "#mesh/contract/errors.ts";
import { parseAddress } from "#mesh/discovery/endpoints.ts";
import { contextOptions } from "#mesh/identity/tls.ts";
import { decodeFailure } from "#mesh/rpc/status.ts";
import { testCertificates } from "#testing/certificates.ts";

// Calls made by hand, for what a decent client never sends.

export interface RawAnswer {
  /** The status code; undefined when the stream ended without one. */
  readonly code: number | undefined;
  readonly failure: RpcError;
  readonly body: Buffer;
}

export interface RawCall {
  /** Sends bytes as they are. */
  write(bytes: Buffer): void;
  /** Tells that the request is whole. */
  end(): void;
  reset(): void;
  readonly answer: Promise<RawAnswer>;
  /** The code with which the stream was closed, once it is. */
  readonly closed: Promise<number>;
}

/** One message as it stands on the wire. */
export function frame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

const ofGateway = await testCertificates("gateway");

/** A connection of the gateway's, or of whom the certificates are, to a service of a test mesh. */
export function openSession(address: string, certificates = ofGateway): ClientHttp2Session {
  const { host, port } = parseAddress(address);
  const socket = connectTls({
    ...contextOptions(certificates),
    host,
    port,
    ALPNProtocols: ["h2"],
    checkServerIdentity: () => undefined,
  });
  return connect(`https://${address}`, { createConnection: () => socket });
}

export function rawCall(session: ClientHttp2Session, path: string, headers: OutgoingHttpHeaders): RawCall {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream.on("error", () => {});
  const closed = new Promise<number>((resolve) => stream.on("close", () => resolve(stream.rstCode)));
  const answer = new Promise<RawAnswer>((resolve) => {
    const finish = (last: IncomingHttpHeaders): void => {
      const code = last["grpc-status"] === undefined ? undefined : Number(last["grpc-status"]);
      const details = String(last["grpc-message"] ?? "");
      const metadata = Metadata.fromHttp2Headers(last);
      const failure = decodeFailure({ code: code ?? 2, details, metadata }, "raw");
      resolve({ code, failure, body: Buffer.concat(chunks) });
    };
    // A status comes in the headers when nothing else does.
    stream.on("response", (headers) => headers["grpc-status"] !== undefined && finish(headers));
    stream.on("trailers", finish);
    stream.on("close", () => finish({}));
  });
  return {
    write: (bytes) => stream.write(bytes),
    end: () => stream.end(),
    reset: () => stream.close(8),
    answer,
    closed,
  };
}
