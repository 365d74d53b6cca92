import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { performance } from "node:perf_hooks";
import type { Conversation } from "../connections.ts";
import type { GatewayLimits } from "../limits.ts";
import { type Reply, refused } from "./replies.ts";

/**
 * One HTTP/1 connection whose first bytes have come: one request at a time, each in time.
 *
 * A class because it owns a socket and the timer that goes with it.
 */
export class Http1Connection implements Conversation {
  /** The sender's address, without a port. */
  readonly peer: string;
  readonly #socket: Socket;
  readonly #limits: GatewayLimits;
  #timer: NodeJS.Timeout;
  /** The answer to the request that is under way. */
  #response: ServerResponse | undefined;
  #requestsLeft: number;
  #ending = false;
  #idleSinceMs = performance.now();
  /** What had come when the last answer was given. */
  #readBytes = 0;

  constructor(socket: Socket, peer: string, limits: GatewayLimits) {
    this.#socket = socket;
    this.peer = peer;
    this.#limits = limits;
    this.#requestsLeft = limits.http1RequestsPerConnection;
    this.#timer = setTimeout(() => this.#giveUp(), limits.http1HeadMs);
    socket.on("error", () => undefined); // "close" follows; a broken peer is its own affair
    socket.once("close", () => clearTimeout(this.#timer));
  }

  /** Ours: `127.0.0.1:8080`. */
  get address(): string {
    const { localAddress = "127.0.0.1", localPort = 0 } = this.#socket;
    return `${localAddress}:${localPort}`;
  }

  /** Notes that a request came; false when the one before has no answer yet. */
  begin(response: ServerResponse): boolean {
    if (this.#response !== undefined || this.#ending) return false;
    clearTimeout(this.#timer);
    this.#requestsLeft -= 1;
    this.#response = response;
    response.once("close", () => this.#answered());
    return true;
  }

  /** Answers the request that is under way. */
  answer(request: IncomingMessage, reply: Reply): void {
    if (this.#response === undefined || this.#socket.destroyed) return;
    this.#ending ||= !reply.stay || this.#requestsLeft === 0;
    send(request, this.#response, { reply, last: this.#ending, lingerMs: this.#limits.http1LingerMs });
  }

  /** Says so, and nothing more, on a connection on which Node speaks no HTTP, or cannot any more. */
  hangUp(reply: Reply): void {
    if (this.#socket.writableEnded) return;
    this.#ending = true;
    clearTimeout(this.#timer);
    if (this.#socket.writable) this.#socket.end(rawReply(reply));
    // Unread input would make the kernel reset the connection, and the answer be lost with it.
    this.#socket.resume();
    this.#timer = setTimeout(() => this.#socket.destroy(), this.#limits.http1LingerMs);
  }

  idleSinceMs(): number | undefined {
    return this.#response === undefined ? this.#idleSinceMs : undefined;
  }

  end(): void {
    this.#ending = true;
    if (this.#response === undefined) this.#socket.destroy();
  }

  isEnding(): boolean {
    return this.#ending;
  }

  isOver(): boolean {
    return this.#socket.destroyed;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #answered(): void {
    this.#response = undefined;
    this.#idleSinceMs = performance.now();
    if (this.#socket.destroyed) return;
    if (this.#ending) {
      this.#socket.destroySoon();
      return;
    }
    this.#readBytes = this.#socket.bytesRead;
    this.#timer = setTimeout(() => this.#giveUp(), this.#limits.http1IdleMs);
  }

  /** No whole head came in time. Who had begun one is told; who is merely idle is not. */
  #giveUp(): void {
    if (this.#socket.bytesRead === this.#readBytes) this.#socket.destroy();
    else this.hangUp(refused(408, "request_timeout", "The head of the request took too long."));
  }
}

interface Answer {
  readonly reply: Reply;
  /** No other request is wanted on this connection. */
  readonly last: boolean;
  readonly lingerMs: number;
}

/**
 * Answers in full at once. The end of an answer that is the last one waits until the request is read, or for a while:
 * Node closes the connection then, and unread input would take the answer along.
 */
function send(request: IncomingMessage, response: ServerResponse, { reply, last, lingerMs }: Answer): void {
  const { status, body, headers } = reply;
  const length = { "content-length": Buffer.byteLength(body) };
  response.writeHead(status, { ...headers, ...length, ...(last && { connection: "close" }) });
  if (!last || request.complete) {
    response.end(body);
    return;
  }
  response.write(body);
  const timer = setTimeout(() => response.end(), lingerMs);
  response.once("close", () => clearTimeout(timer));
  request.once("end", () => response.end());
  request.resume();
}

/** An answer for a connection on which no answer of Node's can be had. */
function rawReply({ status, body, headers }: Reply): string {
  const all = { ...headers, "content-length": Buffer.byteLength(body), connection: "close" };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("\r\n")}\r\n\r\n${body}`;
}
