import type { Socket } from "node:net";

/** What every HTTP/2 connection begins with (RFC 9113, section 3.4). */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** The first bytes of an HTTP/1 request line: a method in capitals, or the space after it. */
const HTTP1_START = /^[A-Z]{1,8}( |$)/;

/** Who takes a connection, by what it speaks. */
export interface Speakers {
  readonly onHttp2: () => void;
  readonly onHttp1: () => void;
}

/**
 * Looks at what a new connection says first, without taking it away, and hands it on. Ends what is neither HTTP/2 nor
 * HTTP/1, and what says nothing for `timeoutMs`.
 */
export function sniff(socket: Socket, timeoutMs: number, { onHttp2, onHttp1 }: Speakers): void {
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
    const http2 = PREFACE.compare(seen, 0, length, 0, length) === 0;
    if (http2 && length < PREFACE.length) return;
    if (!http2 && !HTTP1_START.test(seen.toString("latin1", 0, 9))) {
      leave();
      return;
    }
    done();
    socket.unshift(seen);
    if (http2) onHttp2();
    else onHttp1();
  };
  socket.on("readable", look);
  socket.on("end", leave);
  socket.on("close", done);
  socket.on("error", ignore);
}

function ignore(): void {}
