import type { Logger } from "pino";
import type { Idempotency } from "#mesh/contract/contract.ts";

/**
 * What belongs to one call. Handlers get one, clients want one: whatever is done for a caller ends at the caller's
 * deadline, stops when the caller gives up, and acts for the caller's end user.
 *
 * Some members are made when first read, so never spread a `Call`: pass it on as it is, or narrow it with
 * `withTimeout`.
 */
export interface Call {
  readonly method: MethodInfo;
  /** When the answer is due, in epoch milliseconds. Always set. */
  readonly deadline: number;
  /** Aborted at the deadline and when the caller gives up, with an `RpcError` as its reason. */
  readonly signal: AbortSignal;
  /** The calling workload: `gateway`, `orders`, `operator`; empty for background work. */
  readonly caller: string;
  /** The end user whom the call acts for, verified; undefined when there is none. */
  readonly user: User | undefined;
  /** From which address the gateway had the call; empty where it came from elsewhere, or nobody asked for it. */
  readonly clientAddress: string;
  readonly trace: TraceContext;
  /** Writes with the trace and the method of this call. */
  readonly log: Logger;
  /** The end user's token, for the mesh to pass on. Under a symbol, so that it is neither logged nor used by chance. */
  readonly [bearerToken]?: string;
}

/** A call that was made here rather than received: whoever made it says when it is done. */
export interface OwnCall extends Call {
  /** Frees the timer of the deadline, and stops to follow the signal it was made with. The call itself is not aborted. */
  done(): void;
}

/** Where the gateway says from which address a call came. */
export const CLIENT_ADDRESS_KEY = "shopmesh-client-address";

export const bearerToken: unique symbol = Symbol("bearer token");

/** An end user, as a verified token tells. */
export interface User {
  /** `usr_…` */
  readonly id: string;
  readonly kind: "guest" | "customer";
  readonly roles: readonly string[];
  readonly sessionId: string;
}

/** The method that a call is for. The codecs are those of the contract. */
export interface MethodInfo {
  /** `shop.cart.v1.CartService` */
  readonly service: string;
  /** `AddItem` */
  readonly name: string;
  /** `/shop.cart.v1.CartService/AddItem`; `background/<name>` for background work. */
  readonly path: string;
  readonly idempotency: Idempotency;
  readonly encodeRequest: (message: unknown) => Uint8Array;
  readonly encodeResponse: (message: unknown) => Uint8Array;
  readonly decodeResponse: (bytes: Uint8Array) => unknown;
}

/** W3C trace context: where this call stands in the tree of calls that one request caused. */
export interface TraceContext {
  /** 32 hex digits, the same for the whole tree. */
  readonly traceId: string;
  /** 16 hex digits, of this call. */
  readonly spanId: string;
  /** Bit 0: sampled. */
  readonly flags: number;
}
