import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Conversation } from "../connections.ts";
import { createShares } from "../shares.ts";
import { Http1Connection } from "./connection.ts";
import { destinationOf } from "./providers.ts";
import { comeAgain, hint, type Reply, refused } from "./replies.ts";
import { createWebhooks, type WebhookDeps, type Webhooks } from "./webhook.ts";

/** Speaks HTTP/1 on the public address: webhooks are taken in, everybody else is told where they are. */
export interface Http1 {
  /** Takes a connection over, from its first byte on. */
  take(socket: Socket, peer: string): Conversation;
  /** Tells all senders that still wait to come again. */
  stopCalls(): void;
}

export function createHttp1(deps: WebhookDeps): Http1 {
  const { limits } = deps;
  const webhooks = createWebhooks(deps);
  const shares = createShares({ total: limits.http1Connections, perAddress: limits.http1PerAddress });
  const connections = new WeakMap<Duplex, Http1Connection>();
  // Never listens itself, so Node's own time limits, which run while it does, are not at work: connections keep theirs.
  const server = createServer({ maxHeaderSize: limits.maxHeaderBytes, noDelay: true });
  server.maxHeadersCount = limits.maxHeaderPairs;
  server.keepAliveTimeout = 0;

  const onRequest = (request: IncomingMessage, response: ServerResponse, goOn: () => void): void => {
    const connection = connections.get(request.socket);
    // A second request before the answer to the first: no payment gateway sends one, and smugglers do.
    if (connection === undefined || !connection.begin(response)) {
      request.socket.destroy();
      return;
    }
    void answer(webhooks, { request, connection, goOn });
  };
  server.on("request", (request, response) => onRequest(request, response, () => {}));
  server.on("checkContinue", (request, response) => onRequest(request, response, () => response.writeContinue()));
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const connection = connections.get(socket);
    if (connection === undefined || error.code === "ECONNRESET") socket.destroy();
    else connection.hangUp(unreadable(error));
  });

  return {
    take(socket, peer) {
      const connection = new Http1Connection(socket, peer, limits);
      const leave = shares.take(peer);
      if (leave === undefined) {
        connection.hangUp(comeAgain(503, "OVERLOADED", "There are too many connections."));
        return connection;
      }
      socket.once("close", leave);
      connections.set(socket, connection);
      server.emit("connection", socket);
      return connection;
    },
    stopCalls: webhooks.stop,
  };
}

interface Asked {
  readonly request: IncomingMessage;
  readonly connection: Http1Connection;
  readonly goOn: () => void;
}

async function answer(webhooks: Webhooks, { request, connection, goOn }: Asked): Promise<void> {
  const destination = destinationOf(request.url ?? "");
  switch (destination.kind) {
    case "elsewhere":
      return connection.answer(request, hint(connection.address));
    case "unknown":
      return connection.answer(request, refused(404, "path_not_found", "No payment gateway has this path."));
    case "webhook": {
      const { provider } = destination;
      const reply = await webhooks.take({ provider, request, peer: connection.peer, goOn });
      if (reply !== undefined) connection.answer(request, reply);
    }
  }
}

/** What Node could not read as a request. Both a length and chunks, the smuggler's way, are among it. */
function unreadable({ code }: NodeJS.ErrnoException): Reply {
  return code === "HPE_HEADER_OVERFLOW"
    ? refused(431, "headers_too_large", "The headers are too large.")
    : refused(400, "bad_request", "This is not an HTTP request.");
}
