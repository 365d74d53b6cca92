import type { PlaceOrderRequest } from "#gen/shop/orders/v1/checkout_service.ts";
import { type Order, Order_State } from "#gen/shop/orders/v1/order.ts";
import type { BuyersWord } from "../audit/books.ts";
import type { Buyer } from "../support/buyer.ts";
import type { CallFailure } from "../support/wire.ts";

/** What all buyers were told. */
export interface BuyersRecord {
  /** A request is about to be sent for the first time. */
  asked(buyer: Buyer, request: PlaceOrderRequest): void;
  answered(request: PlaceOrderRequest, order: Order): void;
  /** What did not succeed. True when that is the order's end, and not merely bad luck. */
  failed(request: PlaceOrderRequest, failure: CallFailure): boolean;
  /** How many orders were acknowledged, rejected ones too. */
  readonly acknowledged: number;
  /** Whoever was told something, with their request. */
  answeredRequests(): readonly { readonly buyer: Buyer; readonly request: PlaceOrderRequest }[];
  word(): BuyersWord;
}

interface Asked {
  readonly buyer: Buyer;
  readonly request: PlaceOrderRequest;
  orderId: string | undefined;
  /** `accepted`, or why not; undefined while it was still PENDING. */
  verdict: string | undefined;
  /** What was told last; or first that was not the verdict. */
  later: string | undefined;
}

export function createRecord(): BuyersRecord {
  const requests = new Map<string, Asked>();
  const note = ({ requestId }: PlaceOrderRequest, orderId: string, verdict: string | undefined): void => {
    const asked = requests.get(requestId);
    if (asked === undefined) throw new Error(`${requestId} was never asked`);
    // Another order than before is told as what it is: another answer.
    const told = verdict === undefined ? undefined : `${verdict} ${orderId}`;
    asked.orderId ??= orderId;
    asked.verdict ??= told;
    // What was once told otherwise stays so, whatever is told after that.
    if (asked.later !== undefined && asked.later !== asked.verdict) return;
    asked.later = asked.orderId === orderId ? (told ?? asked.later) : `another order: ${orderId}`;
  };
  const known = (): readonly Asked[] => [...requests.values()].filter(({ orderId }) => orderId !== undefined);
  return {
    asked(buyer, request) {
      requests.set(request.requestId, { buyer, request, orderId: undefined, verdict: undefined, later: undefined });
    },
    answered(request, order) {
      note(request, order.id, order.state === Order_State.PENDING ? undefined : "accepted");
    },
    failed(request, { reason, metadata }) {
      if (metadata.order_id === undefined) return false;
      note(request, metadata.order_id, reason);
      return true;
    },
    get acknowledged() {
      return known().length;
    },
    answeredRequests: known,
    word: () => ({
      asked: new Set(requests.keys()),
      acknowledged: known().map(({ orderId, request }) => ({ orderId: orderId ?? "", requestId: request.requestId })),
      replays: known().map(({ request, verdict, later }) => ({
        requestId: request.requestId,
        first: verdict ?? "",
        again: later ?? "",
      })),
    }),
  };
}
