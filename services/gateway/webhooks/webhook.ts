import type { IncomingMessage } from "node:http";
import { performance } from "node:perf_hooks";
import type { Logger } from "pino";
import type { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import type { Client } from "#mesh/contract/contract.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { GatewayLimits } from "../limits.ts";
import type { Shares } from "../shares.ts";
import { readBody } from "./body.ts";
import type { Provider } from "./providers.ts";
import { broken, comeAgain, type Reply, refused, replyTo, taken } from "./replies.ts";

/** Who takes in the events: payments, as any caller reaches it. The proof of an event is its signature. */
export interface WebhookSink {
  readonly handleWebhook: Client<typeof PaymentService>["try"]["handleWebhook"];
  /** Makes the call that one event is handed on with. */
  call(options: { readonly timeoutMs: number; readonly signal: AbortSignal }): Call;
}

export interface WebhookDeps {
  readonly payments: WebhookSink;
  /** The places for calls, of which a webhook takes one, too. */
  readonly places: Shares;
  readonly limits: GatewayLimits;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
}

/** One request to a provider's webhooks. */
export interface Webhook {
  readonly provider: Provider;
  readonly request: IncomingMessage;
  /** The sender's address, without a port. */
  readonly peer: string;
  /** The sender waits for a word before it sends the body (`Expect: 100-continue`); this gives it. */
  readonly goOn: () => void;
}

/** Takes events in. */
export interface Webhooks {
  /** Takes one. Never rejects; undefined when the sender is gone. */
  take(webhook: Webhook): Promise<Reply | undefined>;
  /** Ends all that is under way: their senders are told to come again. */
  stop(): void;
}

/** What the contract allows: the longest body, and the longest signature. */
const MAX_BODY_BYTES = 64 * 1_024;
const MAX_SIGNATURE_CHARS = 4_096;

/**
 * Takes webhooks in: the head is checked before the body is read, and the body goes to payments byte for byte. Nothing
 * else of the request does. What was begun goes on when the sender leaves: it will ask again, and find it done.
 */
export function createWebhooks(deps: WebhookDeps): Webhooks {
  const { limits, log } = deps;
  const running = new Set<AbortController>();
  const handOn = async (webhook: Webhook, { signature, body, line }: Read): Promise<Reply> => {
    if (running.size >= limits.maxWebhooks) return comeAgain(503, "OVERLOADED", "Too many webhooks are under way.");
    const giveBack = deps.places.take(webhook.peer);
    if (giveBack === undefined) return comeAgain(429, "OVERLOADED", "Too many calls come from this address.");
    const stopping = new AbortController();
    running.add(stopping);
    try {
      const call = deps.payments.call({ timeoutMs: limits.webhookCallMs, signal: stopping.signal });
      line.traceId = call.trace.traceId;
      const request = { provider: webhook.provider.name, signature, body };
      const result = await deps.payments.handleWebhook(request, call);
      if (!result.ok) return replyTo(result.error);
      line.eventId = result.value.eventId;
      return taken(result.value);
    } finally {
      running.delete(stopping);
      giveBack();
    }
  };
  return {
    async take(webhook) {
      const startedAtMs = performance.now();
      const line: LogFields = { provider: webhook.provider.name, peer: webhook.peer, requestBytes: 0 };
      let reply: Reply | undefined;
      try {
        const read = await receive(webhook, limits, line);
        reply = read !== undefined && "signature" in read ? await handOn(webhook, read) : read;
      } catch (error) {
        log.error({ ...line, err: error }, "a webhook could not be handed on");
        reply = broken();
      }
      logOne(log, line, { reply, durationMs: Math.round((performance.now() - startedAtMs) * 100) / 100 });
      return reply;
    },
    stop() {
      for (const stopping of running) stopping.abort();
    },
  };
}

/** What came of a request that may be handed on. */
interface Read {
  readonly signature: string;
  readonly body: Buffer;
  readonly line: LogFields;
}

/** What the one line of a webhook tells; never a header or a body. */
interface LogFields {
  readonly provider: string;
  readonly peer: string;
  requestBytes: number;
  traceId?: string;
  eventId?: string;
}

function logOne(
  log: WebhookDeps["log"],
  line: LogFields,
  { reply, durationMs }: { readonly reply: Reply | undefined; readonly durationMs: number },
): void {
  const fields = { ...line, status: reply?.status, reason: reply === undefined ? "broken off" : reply.reason };
  const wrong = reply !== undefined && (reply.status >= 500 || reply.status === 429);
  log[wrong ? "warn" : "info"]({ ...fields, durationMs }, "webhook");
}

/** Checks the head, and reads the body; a reply when that is all there is to do, nothing when the sender is gone. */
async function receive(
  { request, provider, goOn }: Webhook,
  limits: GatewayLimits,
  line: LogFields,
): Promise<Read | Reply | undefined> {
  if (request.method !== "POST") {
    return refused(405, "method_not_allowed", "Webhooks are sent with POST.", { allow: "POST" });
  }
  const { "content-length": length } = request.headers;
  // Without a length, and with a body in chunks whatever else is said, nobody knows what is coming.
  if (length === undefined) return refused(411, "length_required", "A Content-Length is wanted, and no chunks.");
  if (Number(length) > MAX_BODY_BYTES) {
    return refused(413, "body_too_large", `The body is longer than ${MAX_BODY_BYTES} bytes.`);
  }
  const [signature, second] = request.headersDistinct[provider.signatureHeader] ?? [];
  if (signature === undefined || signature === "" || second !== undefined || signature.length > MAX_SIGNATURE_CHARS) {
    return refused(400, "signature_malformed", `Exactly one ${provider.signatureHeader} header is wanted.`);
  }
  goOn();
  const body = await readBody(request, limits.http1BodyMs);
  if (body === "gone") return undefined;
  if (body === "slow") return refused(408, "request_timeout", "The body took too long.");
  line.requestBytes = body.length;
  if (body.length === 0) return refused(400, "body_missing", "The body is empty.");
  return { signature, body, line };
}
