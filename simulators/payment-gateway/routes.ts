import { authorizationView, operationView, transactionView } from "./answers.ts";
import type { Command } from "./domain.ts";
import type { Gateway } from "./gateway.ts";
import type { Answer } from "./records.ts";
import {
  type Body,
  parseAuthorize,
  parseBody,
  parseCapture,
  parseIdempotencyKey,
  parseOperationQuery,
  parsePageQuery,
  parseRefund,
  parseVoid,
  RequestError,
} from "./requests.ts";
import type { WebhookSender } from "./webhooks/sender.ts";

/** What a path and a method lead to. `open` routes need no API key; `name` stands in the log. */
export type Route = { readonly name: string; readonly open: boolean } & (
  | { readonly kind: "read"; readonly read: (context: ReadContext) => Answer }
  | { readonly kind: "write"; readonly parse: (input: WriteInput) => KeyedCommand }
  | { readonly kind: "refuse"; readonly error: RequestError }
);

export interface ReadContext {
  readonly gateway: Gateway;
  readonly webhooks: Pick<WebhookSender, "summary"> | undefined;
  readonly query: URLSearchParams;
  readonly now: Date;
}

export interface WriteInput {
  readonly key: string | undefined;
  readonly body: Uint8Array;
}

export interface KeyedCommand {
  readonly command: Command;
  readonly idempotencyKey: string;
}

/** Finds the route, or one that refuses: an unknown path, or a method that the path does not have. */
export function findRoute(method: string, path: string): Route {
  for (const route of routes) {
    const id = route.path.exec(path);
    if (id === null) continue;
    const { name } = route;
    if (method !== route.method) {
      const message = `This path takes ${route.method} only.`;
      return refuse(name, new RequestError(405, "method_not_allowed", message, { allow: route.method }));
    }
    return { name, open: route.open === true, ...route.make(id[1] ?? "") };
  }
  return refuse("unknown", new RequestError(404, "path_not_found", "There is no such path."));
}

type Action =
  | { readonly kind: "read"; readonly read: (context: ReadContext) => Answer }
  | { readonly kind: "write"; readonly parse: (input: WriteInput) => KeyedCommand };

interface RouteEntry {
  readonly name: string;
  readonly method: "GET" | "POST";
  readonly path: RegExp;
  readonly open?: boolean;
  readonly make: (id: string) => Action;
}

const routes: readonly RouteEntry[] = [
  {
    name: "authorize",
    method: "POST",
    path: /^\/v1\/authorizations$/,
    make: () => write(parseAuthorize),
  },
  {
    name: "capture",
    method: "POST",
    path: /^\/v1\/authorizations\/([^/]+)\/capture$/,
    make: (id) => write((body) => parseCapture(id, body)),
  },
  {
    name: "void",
    method: "POST",
    path: /^\/v1\/authorizations\/([^/]+)\/void$/,
    make: (id) => write((body) => parseVoid(id, body)),
  },
  {
    name: "refund",
    method: "POST",
    path: /^\/v1\/captures\/([^/]+)\/refunds$/,
    make: (id) => write((body) => parseRefund(id, body)),
  },
  {
    name: "getAuthorization",
    method: "GET",
    path: /^\/v1\/authorizations\/([^/]+)$/,
    make: (id) => ({ kind: "read", read: (context) => getAuthorization(id, context) }),
  },
  {
    name: "findOperation",
    method: "GET",
    path: /^\/v1\/operations$/,
    make: () => ({ kind: "read", read: findOperation }),
  },
  {
    name: "listTransactions",
    method: "GET",
    path: /^\/v1\/transactions$/,
    make: () => ({ kind: "read", read: listTransactions }),
  },
  {
    name: "getWebhooks",
    method: "GET",
    path: /^\/v1\/webhooks$/,
    make: () => ({ kind: "read", read: getWebhooks }),
  },
  {
    name: "health",
    method: "GET",
    path: /^\/healthz$/,
    open: true,
    // It says "ok" only if the journal can be written to, as every answer waits for that.
    make: () => ({ kind: "read", read: () => ({ status: 200, body: { status: "ok" } }) }),
  },
];

function write(parse: (body: Body) => Command): Action {
  return {
    kind: "write",
    parse: ({ key, body }) => ({ idempotencyKey: parseIdempotencyKey(key), command: parse(parseBody(body)) }),
  };
}

function getAuthorization(id: string, { gateway, now }: ReadContext): Answer {
  const authorization = gateway.authorization(id);
  if (authorization === undefined) {
    throw new RequestError(404, "authorization_not_found", `There is no authorization ${id.slice(0, 64)}.`);
  }
  return { status: 200, body: authorizationView(authorization, now) };
}

function findOperation({ gateway, query }: ReadContext): Answer {
  const operation = gateway.operation(parseOperationQuery(query));
  if (operation === undefined) {
    throw new RequestError(404, "operation_not_found", "Nothing was done under this key so far.");
  }
  return { status: 200, body: operationView(operation) };
}

function listTransactions({ gateway, query }: ReadContext): Answer {
  const { after, limit } = parsePageQuery(query);
  const { page, total } = gateway.movements(after, limit);
  if (after > total) throw new RequestError(400, "invalid_request", "after is not a cursor of this gateway.");
  const end = after + page.length;
  const transactions = page.map(transactionView);
  return { status: 200, body: { transactions, next_after: String(end), has_more: end < total } };
}

function getWebhooks({ webhooks }: ReadContext): Answer {
  if (webhooks === undefined) throw new RequestError(404, "no_webhooks", "No receiver of webhooks is set.");
  return { status: 200, body: webhooks.summary() };
}

function refuse(name: string, error: RequestError): Route {
  return { name, open: false, kind: "refuse", error };
}
