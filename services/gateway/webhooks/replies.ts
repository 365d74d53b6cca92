import type { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import type { ReasonsOf } from "#mesh/contract/contract.ts";
import type { MeshReason, RpcError } from "#mesh/contract/errors.ts";

/** What a sender is answered. */
export interface Reply {
  readonly status: number;
  /** JSON, but for the hint to those who are wrong here. */
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Why, for the log; undefined when all went well. */
  readonly reason: string | undefined;
  /** Whether the sender may go on with the next request on this connection. */
  readonly stay: boolean;
}

/** When to come again: soon while there are too many … */
const CROWDED_RETRY_S = 1;
/** … and later when payments is away or does not know. Senders double it by themselves. */
const AWAY_RETRY_S = 5;

/** The event was taken in, now or before. */
export function taken({ eventId, first }: { readonly eventId: string; readonly first: boolean }): Reply {
  return { ...json(200, { event_id: eventId, first }), reason: undefined, stay: true };
}

/** The request is wrong, and would be wrong again. Who sends such a one may open another connection for the next. */
export function refused(status: number, reason: string, message: string, headers: Reply["headers"] = {}): Reply {
  const { body, headers: own } = json(status, { error: { reason, message } });
  return { status, body, headers: { ...own, ...headers }, reason, stay: false };
}

/** Nothing was taken in, and the same request may fare better later. */
export function comeAgain(status: 429 | 503, reason: string, message: string, afterS = CROWDED_RETRY_S): Reply {
  return { ...refused(status, reason, message, { "retry-after": String(afterS) }), stay: true };
}

/** To whom speaks HTTP/1 to a gRPC server. */
export function hint(address: string): Reply {
  const body = [
    "This address speaks gRPC over HTTP/2 with prior knowledge, not HTTP/1. Try:",
    `  grpcurl -plaintext ${address} list`,
    `  buf curl --protocol grpc --http2-prior-knowledge --list-services http://${address}`,
    "",
  ].join("\n");
  return {
    status: 400,
    body,
    headers: { "content-type": "text/plain; charset=utf-8" },
    reason: undefined,
    stay: false,
  };
}

type Reason = ReasonsOf<typeof PaymentService, "handleWebhook"> | MeshReason;

/** What a failure of HandleWebhook is in HTTP. What was not processed never looks as if it was. */
export function replyTo({ reason, message, retryDelayMs = 0 }: RpcError<Reason>): Reply {
  switch (reason) {
    case "SIGNATURE_INVALID":
      return refused(401, reason, message);
    case "PROVIDER_UNKNOWN":
      return refused(404, reason, message);
    case "INVALID_REQUEST":
      return refused(400, reason, message);
    case "OVERLOADED":
      return comeAgain(503, reason, message, Math.max(CROWDED_RETRY_S, Math.ceil(retryDelayMs / 1_000)));
    default:
      // Payments is away, does not know, or something of ours is wrong that may be mended before the sender gives up.
      // What the mesh tells of its inside is not for strangers.
      return comeAgain(503, reason, "The event could not be taken in for now.", AWAY_RETRY_S);
  }
}

/** The reply when nobody had planned for what happened. */
export function broken(): Reply {
  return comeAgain(503, "INTERNAL", "The event could not be taken in.", AWAY_RETRY_S);
}

function json(status: number, value: object): Pick<Reply, "status" | "body" | "headers"> {
  const headers = { "content-type": "application/json; charset=utf-8" };
  return { status, body: `${JSON.stringify(value)}\n`, headers };
}
