import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { errorBody } from "./answers.ts";
import type { Gateway } from "./gateway.ts";
import type { Answer } from "./records.ts";
import { RequestError } from "./requests.ts";
import { findRoute, type KeyedCommand, type ReadContext, type WriteInput } from "./routes.ts";
import type { WebhookSender } from "./webhooks/sender.ts";

const MAX_BODY_BYTES = 64 * 1024;
const MAX_HEADER_BYTES = 8 * 1024;
const MAX_CONNECTIONS = 2_000;
const KEEP_ALIVE_TIMEOUT_MS = 60_000;
/** How often requests that take too long to arrive are looked for. */
const TIMEOUT_CHECK_MS = 1_000;
/** How long running requests may go on when the server closes. */
const CLOSE_GRACE_MS = 5_000;

export interface HttpOptions {
  readonly gateway: Gateway;
  /** Who sends webhooks, if anybody does. */
  readonly webhooks: Pick<WebhookSender, "summary"> | undefined;
  readonly now: () => Date;
  readonly apiKey: string;
  /** How late the answers about a slow card are. */
  readonly slowMs: number;
  /** Requests under way; one more is refused with 503. Slow answers count while they wait. */
  readonly maxOpenRequests: number;
  /** How long a request may take to arrive, headers and body. */
  readonly requestTimeoutMs: number;
  readonly log: Logger;
}

export interface HttpFront {
  readonly server: Server;
  /** Stops taking connections, sends late answers now, and waits for running requests, within a bound. */
  close(): Promise<void>;
}

/** What is sent back: an answer, and headers of its own. */
interface Reply extends Answer {
  readonly headers?: Readonly<Record<string, string>>;
}

/** The gateway's HTTP API; the caller makes `server` listen. */
export function createHttpFront(options: HttpOptions): HttpFront {
  const context: Context = { ...options, apiKeyDigest: sha256(options.apiKey), late: new Set(), closing: false };
  const open = new Set<Promise<void>>();

  const server = createServer(
    { maxHeaderSize: MAX_HEADER_BYTES, connectionsCheckingInterval: TIMEOUT_CHECK_MS },
    (request, response) => {
      const crowded = open.size >= options.maxOpenRequests;
      const running = serve(context, { request, response, crowded }).finally(() => open.delete(running));
      open.add(running);
    },
  );
  server.headersTimeout = options.requestTimeoutMs;
  server.requestTimeout = options.requestTimeoutMs;
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
  server.maxConnections = MAX_CONNECTIONS;
  server.on("clientError", refuseBrokenRequest);

  async function close(): Promise<void> {
    context.closing = true;
    const closed = new Promise((resolve) => server.close(resolve));
    for (const delay of context.late) delay.abort();
    const grace = new AbortController();
    const bound = sleep(CLOSE_GRACE_MS, undefined, { signal: grace.signal }).catch(() => undefined);
    await Promise.race([Promise.allSettled(open), bound]);
    grace.abort();
    server.closeAllConnections();
    await closed;
  }

  return { server, close };
}

interface Context extends HttpOptions {
  readonly apiKeyDigest: Buffer;
  /** Ends the delay of each answer that is being kept back. */
  readonly late: Set<AbortController>;
  closing: boolean;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Too many requests are under way for this one. */
  readonly crowded: boolean;
}

/** Answers one request, and returns when the answer is on its way or the caller has gone. Never rejects. */
async function serve(context: Context, exchange: Exchange): Promise<void> {
  const { request, response } = exchange;
  const { log } = context;
  const started = performance.now();
  const sent = new Promise((resolve) => response.once("close", resolve));
  const [path = "", query = ""] = (request.url ?? "").split("?", 2);
  const route = findRoute(request.method ?? "", path);
  let reply: Reply;
  try {
    if (exchange.crowded) throw overloaded();
    if (!route.open && !authorized(request, context.apiKeyDigest)) throw unauthorized();
    if (route.kind === "refuse") throw route.error;
    reply =
      route.kind === "read"
        ? await read(context, route.read, new URLSearchParams(query))
        : await write(context, route.parse, exchange);
  } catch (error) {
    if (request.destroyed && !request.complete) return log.info({ route: route.name }, "request broken off");
    reply = errorReply(error, log);
  }
  const body = `${JSON.stringify(reply.body)}\n`;
  response.writeHead(reply.status, {
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(body),
    ...reply.headers,
    ...((context.closing || reply.status === 413) && { connection: "close" }),
  });
  response.end(body);
  await sent;
  const durationMs = Math.round((performance.now() - started) * 1000) / 1000;
  const level = route.open ? "debug" : "info";
  log[level]({ method: request.method, route: route.name, status: reply.status, durationMs }, "request");
}

async function read(
  { gateway, webhooks, now }: Context,
  view: (context: ReadContext) => Answer,
  query: URLSearchParams,
): Promise<Reply> {
  const reply = view({ gateway, webhooks, query, now: now() });
  // What was read may still be on its way to the disk; before it is there, nobody may be told of it.
  await gateway.flushed();
  return reply;
}

async function write(
  context: Context,
  parse: (input: WriteInput) => KeyedCommand,
  { request, response }: Exchange,
): Promise<Reply> {
  const { gateway, slowMs } = context;
  const key = request.headers["idempotency-key"]?.toString();
  const { command, idempotencyKey } = parse({ key, body: await readBody(request) });
  const outcome = gateway.execute(command, idempotencyKey);
  await gateway.flushed();
  if (outcome.kind === "fault") throw fault();
  if (outcome.late) await keepBack(context, response, slowMs);
  return { ...outcome.answer, headers: outcome.replayed ? { "idempotent-replayed": "true" } : {} };
}

/** Waits, but no longer than there is a point in it: until the caller has gone, or the server closes. */
async function keepBack({ late, closing }: Context, response: ServerResponse, slowMs: number): Promise<void> {
  if (closing || response.destroyed) return;
  const delay = new AbortController();
  response.once("close", () => delay.abort());
  late.add(delay);
  await sleep(slowMs, undefined, { signal: delay.signal }).catch(() => undefined);
  late.delete(delay);
}

async function readBody(request: IncomingMessage): Promise<Uint8Array> {
  if (Number(request.headers["content-length"] ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  const body = await collect(request);
  const type = request.headers["content-type"];
  if (body.length > 0 && !/^application\/json *(;|$)/i.test(type ?? "")) {
    throw new RequestError(415, "unsupported_media_type", "The body must be application/json.");
  }
  return body;
}

/** Not `for await`: leaving such a loop early destroys the connection, and with it the answer. */
function collect(request: IncomingMessage): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length <= MAX_BODY_BYTES) chunks.push(chunk);
      else reject(tooLarge());
    });
    request.on("end", () => resolve(Buffer.concat(chunks)));
    request.on("error", reject);
  });
}

function authorized(request: IncomingMessage, apiKeyDigest: Buffer): boolean {
  const key = /^Bearer +(.+)$/i.exec(request.headers.authorization ?? "")?.[1];
  return key !== undefined && timingSafeEqual(sha256(key), apiKeyDigest);
}

function errorReply(error: unknown, log: Logger): Reply {
  if (error instanceof RequestError) {
    return { status: error.status, body: errorBody(error.code, error.message), headers: error.headers };
  }
  log.error({ err: error }, "request failed");
  return { status: 500, body: errorBody("internal_error", "The gateway failed.") };
}

/** Answers what Node could not read as a request, in the form of all other errors, and hangs up. */
function refuseBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, code, message] =
    error.code === "ERR_HTTP_REQUEST_TIMEOUT"
      ? ["408 Request Timeout", "request_timeout", "The request took too long to arrive."]
      : error.code === "HPE_HEADER_OVERFLOW"
        ? ["431 Request Header Fields Too Large", "headers_too_large", "The headers are too large."]
        : ["400 Bad Request", "bad_request", "This is not an HTTP request."];
  const body = `${JSON.stringify(errorBody(code, message))}\n`;
  const type = "content-type: application/json; charset=utf-8";
  socket.end(`HTTP/1.1 ${status}\r\n${type}\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`);
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

const fault = () => new RequestError(500, "internal_error", "The gateway failed. Ask again with the same key.");
const unauthorized = () => new RequestError(401, "unauthorized", "The Bearer API key is missing or wrong.");
const overloaded = () =>
  new RequestError(503, "overloaded", "Too many requests are under way. Nothing was done.", { "retry-after": "1" });
const tooLarge = () => new RequestError(413, "body_too_large", `The body is over ${MAX_BODY_BYTES} bytes.`);
