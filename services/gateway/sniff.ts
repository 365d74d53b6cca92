import type { Socket } from "node:net";

/** What every HTTP/2 connection begins with (RFC 9113, section 3.4). */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** The first bytes of an HTTP/1 request line: a method in capitals, or the space after it. */
const HTTP1_START = /^[A-Z]{1,8}( |$)/;

/** How long a client has to read what it is told before its connection is cut. */
const LINGER_MS = 1_000;

/**
 * Looks at what a new connection says first, without taking it away. Calls `onHttp2` when it is HTTP/2; answers HTTP/1
 * with a hint; ends everything else, and what says nothing for `timeoutMs`.
 */
export function sniff(socket: Socket, timeoutMs: number, onHttp2: () => void): void {
  let seen = Buffer.alloc(0);
  const timer = setTimeout(() => socket.destroy(), timeoutMs);
  const done = (): void => {
    clearTimeout(timer);
    socket.off("readable", look);
    socket.off("end", leave);
    socket.off("close", done);
    socket.off("error", ignore);
  };
  const leave = (): void => {
    done();
    socket.destroy();
  };
  const look = (): void => {
    const chunk: unknown = socket.read();
    if (!Buffer.isBuffer(chunk)) return;
    seen = Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, PREFACE.length);
    if (PREFACE.compare(seen, 0, length, 0, length) === 0) {
      if (length < PREFACE.length) return;
      done();
      socket.unshift(seen);
      onHttp2();
      return;
    }
    const http1 = HTTP1_START.test(seen.toString("latin1", 0, 9));
    if (!http1) {
      leave();
      return;
    }
    done();
    answerHttp1(socket);
  };
  socket.on("readable", look);
  socket.on("end", leave);
  socket.on("close", done);
  socket.on("error", ignore);
}

function ignore(): void {}

function answerHttp1(socket: Socket): void {
  const address = `${socket.localAddress ?? "127.0.0.1"}:${socket.localPort ?? 0}`;
  const text = [
    "This address speaks gRPC over HTTP/2 with prior knowledge, not HTTP/1. Try:",
    `  grpcurl -plaintext ${address} list`,
    `  buf curl --protocol grpc --http2-prior-knowledge --list-services http://${address}`,
    "",
  ].join("\n");
  const head = [
    "HTTP/1.1 400 Bad Request",
    "content-type: text/plain; charset=utf-8",
    `content-length: ${Buffer.byteLength(text)}`,
    "connection: close",
  ];
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once("close", () => clearTimeout(timer));
  socket.on("error", ignore);
  socket.end(`${head.join("\r\n")}\r\n\r\n${text}`);
  // Unread input would make the kernel reset the connection, and the answer be lost with it.
  socket.resume();
}
