import { type ClientHttp2Session, constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { Server } from "node:net";
import { buffer } from "node:stream/consumers";
import { connectTo, type ProxyIdentities, takeConnections } from "./ends.ts";
import type { Gate, Headers, Intercept } from "./exchange.ts";

export interface LinkOptions {
  readonly caller: string;
  readonly callee: string;
  /** Where the callee is now: `127.0.0.1:4321`. */
  readonly upstream: () => string;
  readonly intercept: Intercept;
  readonly gate: Gate;
  /** Of gRPC alone, which goes over mutual TLS. */
  readonly identities?: ProxyIdentities | undefined;
}

/**
 * Passes gRPC on, each connection over one of its own, so that the end of one ends the other. A request is passed on when
 * it is whole: streams from the caller are not for this.
 */
export function grpcLink(options: LinkOptions): Server {
  const { upstream: whereTo, identities } = options;
  if (identities === undefined)
    throw new TypeError("nobody can stand between two who prove themselves without passing for both");
  return takeConnections(identities, (session, socket) => {
    // As when the callee dies: the connection is gone, and nobody says why.
    const breakOff = (): void => void socket.destroy();
    const upstream = connectTo(whereTo(), identities);
    // The ends of the connections say all that matters here.
    for (const side of [session, upstream]) side.on("error", () => {});
    // Who is told to go elsewhere finishes what is under way, on both sides.
    upstream.on("goaway", () => {
      session.close();
      upstream.close();
    });
    upstream.on("close", breakOff);
    session.on("close", () => upstream.close());
    session.on("stream", (stream, headers) => {
      stream.on("error", () => {});
      // A stream that broke has told its caller so.
      passOn({ breakOff, upstream, stream, headers, options }).catch(() => stream.close(constants.NGHTTP2_CANCEL));
    });
  });
}

interface Passing {
  readonly breakOff: () => void;
  readonly upstream: ClientHttp2Session;
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  readonly options: LinkOptions;
}

async function passOn({ breakOff, upstream, stream, headers, options }: Passing): Promise<void> {
  const { caller, callee, intercept, gate } = options;
  const request = await buffer(stream);
  const method = String(headers[":path"]);
  const exchange = { caller, callee, method, headers: plain(headers), request, answer: Buffer.alloc(0) };
  await gate.passed();
  const before = await intercept(exchange, "before");
  if (before === "cut" || upstream.destroyed) return breakOff();
  const more = before === "pass" ? {} : before.headers;
  const call = upstream.request({ ...headers, ...more });
  call.on("error", () => {});
  let trailers: IncomingHttpHeaders = {};
  call.on("trailers", (received) => {
    trailers = received;
  });
  call.on("close", () => {
    if (upstream.destroyed) return breakOff();
    if (call.rstCode !== constants.NGHTTP2_NO_ERROR) stream.close(call.rstCode);
  });
  // Who was gone before may have sent it all the same; who goes now takes it back.
  if (!stream.destroyed) stream.on("close", () => call.close(constants.NGHTTP2_CANCEL));
  const answered = new Promise<{ readonly head: IncomingHttpHeaders; readonly isWhole: boolean }>((resolve) => {
    call.on("response", (head, flags) => resolve({ head, isWhole: (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0 }));
  });
  call.end(request);
  const { head, isWhole } = await answered;
  await gate.passed();
  if ((await intercept(exchange, "after")) === "cut") return breakOff();
  if (stream.destroyed) return;
  stream.on("wantTrailers", () => stream.sendTrailers(trailers));
  stream.respond(head, { endStream: isWhole, waitForTrailers: !isWhole });
  if (!isWhole) call.pipe(stream);
}

function plain(headers: IncomingHttpHeaders): Headers {
  const entries = Object.entries(headers).filter(([name]) => !name.startsWith(":"));
  return Object.fromEntries(entries.map(([name, value]) => [name, String(value)]));
}
