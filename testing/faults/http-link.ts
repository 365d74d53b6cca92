import { createServer, type IncomingMessage, type ServerResponse, request as send } from "node:http";
import type { Server } from "node:net";
import { buffer } from "node:stream/consumers";
import type { Headers } from "./exchange.ts";
import type { LinkOptions } from "./grpc-link.ts";

/** Passes HTTP/1.1 on, a connection each request. Answers are passed on when they are whole. */
export function httpLink(options: LinkOptions): Server {
  return createServer((request, response) => {
    // Whatever breaks on the other side breaks the connection on this one, too.
    passOn(request, response, options).catch(() => request.socket.destroy());
  });
}

async function passOn(request: IncomingMessage, response: ServerResponse, options: LinkOptions): Promise<void> {
  const { caller, callee, intercept, gate } = options;
  const body = await buffer(request);
  const method = `${request.method} ${request.url?.split("?")[0]}`;
  const exchange = { caller, callee, method, headers: plain(request), request: body };
  await gate.passed();
  const before = await intercept({ ...exchange, answer: Buffer.alloc(0) }, "before");
  if (before === "cut") return void request.socket.destroy();
  const more = before === "pass" ? {} : before.headers;
  const reply = await ask(request, { ...exchange.headers, ...more }, { body, upstream: options.upstream() });
  const answer = await buffer(reply);
  await gate.passed();
  if ((await intercept({ ...exchange, answer }, "after")) === "cut") return void request.socket.destroy();
  response.writeHead(reply.statusCode ?? 502, plain(reply)).end(answer);
}

function ask(
  { method, url }: IncomingMessage,
  headers: Headers,
  { body, upstream }: { readonly body: Buffer; readonly upstream: string },
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = send(`http://${upstream}${url}`, { method, headers: { ...headers, connection: "close" } }, resolve);
    request.on("error", reject).end(body);
  });
}

// Bodies are passed on whole, with their lengths.
const ofTheConnection = ["connection", "keep-alive", "transfer-encoding"];

function plain({ headers }: IncomingMessage): Headers {
  const entries = Object.entries(headers).filter(([name]) => !ofTheConnection.includes(name));
  return Object.fromEntries(entries.map(([name, value]) => [name, String(value)]));
}
