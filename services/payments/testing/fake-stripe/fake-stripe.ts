import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { Clock } from "#mesh/clock.ts";
import { type Account, letGo, openAccount } from "./account.ts";
import { readForm } from "./forms.ts";
import { KeyedReplies } from "./idempotency.ts";
import { intentOf } from "./payment-intents.ts";
import { invalid, type Reply, StripeFault } from "./replies.ts";
import { findRoute } from "./routes.ts";

/**
 * What goes wrong with the next change.
 * - `500 at the door`: an error before anything was begun; the key stays free.
 * - `500 without effect`, `500 after effect`: an error from the midst of work, which is kept with the key.
 * - `400`, `429`: it is turned away as wrong, or as one too many.
 * - `cut before`, `cut after`: the connection breaks before or after the effect. `hang`: no answer ever comes, after it.
 */
export type Trouble =
  | "500 at the door"
  | "500 without effect"
  | "500 after effect"
  | "cut before"
  | "cut after"
  | "hang"
  | "not json after effect"
  | "400"
  | "429";

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** Some endpoints of Stripe's API, over HTTP, with what an account would have, for tests alone. */
export interface FakeStripe {
  readonly url: string;
  readonly apiKey: string;
  readonly webhookSecret: string;
  readonly account: Account;
  /** Every request so far. */
  readonly seen: readonly SeenRequest[];
  /** Makes trouble for the changes that come next, one each, and no other. */
  trouble(...next: readonly Trouble[]): void;
  /** Holds up the next change once its key is taken: `begun` tells when it is there. */
  hold(): { readonly begun: Promise<void>; release(): void };
  /** Lets a hold go as Stripe does when its time is over. */
  expire(intentId: string): void;
  /** A signed webhook. */
  webhook(event: object, options?: { readonly at?: Date; readonly secret?: string }): SignedWebhook;
  close(): Promise<void>;
}

export interface SignedWebhook {
  readonly signature: string;
  readonly body: Uint8Array;
}

const API_KEY = "sk_test_fake_key_that_must_not_be_logged";
const WEBHOOK_SECRET = "whsec_fake_secret_that_must_not_be_logged";
const API_VERSION = "2026-10-28.endive";

interface Fake {
  readonly account: Account;
  readonly keys: KeyedReplies;
  readonly seen: SeenRequest[];
  readonly troubles: Trouble[];
  /** What the next change waits for. */
  gate: (() => Promise<void>) | undefined;
}

/** Starts a fake of Stripe on any free port. */
export async function startFakeStripe(clock: Clock): Promise<FakeStripe> {
  const account = openAccount(clock);
  const fake: Fake = { account, keys: new KeyedReplies(clock), seen: [], troubles: [], gate: undefined };
  const server = createServer((request, response) => {
    serve(fake, request, response).catch((error: unknown) =>
      response.destroy(error instanceof Error ? error : undefined),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A server that listens on TCP has an address of this form.
  const { port } = server.address() as AddressInfo;
  return {
    ...{ url: `http://127.0.0.1:${port}`, apiKey: API_KEY, webhookSecret: WEBHOOK_SECRET, account, seen: fake.seen },
    trouble: (...next) => void fake.troubles.splice(0, fake.troubles.length, ...next),
    hold: () => hold(fake),
    expire: (id) => void letGo(account, intentOf(account, id), "automatic"),
    webhook: (event, { at = clock.now(), secret = WEBHOOK_SECRET } = {}) => sign(event, at, secret),
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function hold(fake: Fake): { readonly begun: Promise<void>; release(): void } {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const begun = new Promise<void>((resolve) => {
    fake.gate = () => {
      resolve();
      return released;
    };
  });
  return { begun, release };
}

async function serve(fake: Fake, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await text(request);
  const url = new URL(request.url ?? "", "http://stripe");
  const method = request.method ?? "";
  fake.seen.push({ method, path: url.pathname, headers: request.headers, body });
  const trouble = method === "POST" ? fake.troubles.shift() : undefined;
  if (trouble === "cut before") return void request.socket.destroy();
  const key = request.headers["idempotency-key"];
  let reply: Reply;
  let isReplay = false;
  try {
    knock(request, trouble);
    const params = readForm(method === "POST" ? body : url.search.slice(1));
    const name = `${method} ${url.pathname} ${body}`;
    const route = findRoute(fake.account, method, url.pathname, params);
    if (route.kind === "read") reply = { status: 200, body: route.read() };
    else
      ({ isReplay, ...reply } = await fake.keys.once(String(key), name, () => carryOut(fake, route.change, trouble)));
  } catch (error) {
    if (!(error instanceof StripeFault)) throw error;
    reply = error.reply;
  }
  if (trouble === "cut after") return void request.socket.destroy();
  if (trouble === "hang") return;
  const isJson = trouble !== "not json after effect";
  response.writeHead(isJson ? reply.status : 502, {
    "content-type": isJson ? "application/json" : "text/html",
    "request-id": `req_fake${fake.seen.length}`,
    "stripe-version": API_VERSION,
    ...(isReplay && { "idempotent-replayed": "true" }),
  });
  response.end(isJson ? JSON.stringify(reply.body) : "<html>bad gateway</html>");
}

/** What is looked at before anything is begun. */
function knock({ headers, method }: IncomingMessage, trouble: Trouble | undefined): void {
  if (headers.authorization !== `Bearer ${API_KEY}`) throw new StripeFault(401, "Invalid API Key provided", {}, true);
  if (headers["stripe-version"] !== API_VERSION) throw new StripeFault(400, "Another version than expected", {}, true);
  if (method === "POST" && headers["idempotency-key"] === undefined) {
    throw new StripeFault(400, "This fake wants a key with every change", {}, true);
  }
  // Stripe's texts repeat what they are about.
  if (trouble === "400") throw invalid("Unknown: pm_card_visa", { code: "parameter_unknown", param: "some" });
  if (trouble === "429") throw new StripeFault(429, "Too many requests", { code: "rate_limit" }, true);
  if (trouble === "500 at the door") throw apiError(true);
}

async function carryOut(fake: Fake, change: () => unknown, trouble: Trouble | undefined): Promise<Reply> {
  const { gate } = fake;
  fake.gate = undefined;
  await gate?.();
  if (trouble === "500 without effect") throw apiError(false);
  const body = change();
  if (trouble === "500 after effect") throw apiError(false);
  return { status: 200, body };
}

function apiError(atTheDoor: boolean): StripeFault {
  return new StripeFault(500, "An unknown error occurred", { type: "api_error" }, atTheDoor);
}

/** Stripe's scheme: `t=<seconds>,v1=<hex of HMAC-SHA256 over "<seconds>.<body>">`. */
function sign(event: object, at: Date, secret: string): SignedWebhook {
  const body = Buffer.from(JSON.stringify(event));
  const seconds = Math.floor(at.getTime() / 1_000);
  const digest = createHmac("sha256", secret).update(`${seconds}.`).update(body).digest("hex");
  return { signature: `t=${seconds},v1=${digest}`, body };
}
