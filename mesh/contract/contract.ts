import type { CodeName, MeshReason, RpcError } from "#mesh/contract/errors.ts";
import type { Result } from "#mesh/result.ts";
import type { Call } from "#mesh/rpc/call.ts";

/**
 * What a service promises: the generated `*.contract.ts` constants have this shape. Everything that a caller, a
 * callee or the mesh must agree on is read from here, and nothing of it is written twice.
 */
export interface Contract {
  /** The full name: `shop.inventory.v1.InventoryService`. */
  readonly name: string;
  /** The process that serves it: the second component of the package, and the folder in `services/`. */
  readonly owner: string;
  /** Whether somebody outside the mesh may call one of its methods. */
  readonly public: boolean;
  /** Paths and codecs, as ts-proto writes them. */
  readonly definition: Readonly<Record<string, MethodDefinition>>;
  /** The policy of each method, under the same keys as in `definition`. */
  readonly methods: Readonly<Record<string, MethodPolicy>>;
}

/** One RPC of a ts-proto service definition. `never` and `unknown` admit a codec of any message type. */
export interface MethodDefinition {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (value: never) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
  readonly responseSerialize: (value: never) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => unknown;
}

/** What `(mesh.v1.method)` and `idempotency_level` say of one RPC. */
export interface MethodPolicy {
  /** The full name of the request message, under which its rules stand in the descriptors. */
  readonly request: string;
  readonly idempotency: Idempotency;
  /** How long the method may take when the caller sets no deadline; the lesser of the two holds. */
  readonly deadlineMs: number;
  /** After how long without an answer the call goes to another instance as well; undefined for never. */
  readonly hedgeAfterMs?: number;
  readonly callers: Callers;
  /** The reasons that this method can give beyond those of the mesh, each with its status code. */
  readonly errors: Readonly<Record<string, CodeName>>;
}

export type Idempotency = "NO_SIDE_EFFECTS" | "IDEMPOTENT" | "UNKNOWN";

/** Who may call a method; see `mesh/v1/method.proto`. */
export interface Callers {
  readonly anonymous: boolean;
  readonly guest: boolean;
  readonly customer: boolean;
  readonly roles: readonly string[];
  readonly services: readonly string[];
  readonly workloads?: boolean;
  readonly joining?: boolean;
}

/** The methods of a contract, as camelCase names. */
export type MethodName<C extends Contract> = keyof C["definition"] & keyof C["methods"] & string;

export type RequestOf<C extends Contract, M extends MethodName<C>> = ReturnType<
  C["definition"][M]["requestDeserialize"]
>;

export type ResponseOf<C extends Contract, M extends MethodName<C>> = ReturnType<
  C["definition"][M]["responseDeserialize"]
>;

/** The reasons that a method declares: a union of string literals, `never` when it declares none. */
export type ReasonsOf<C extends Contract, M extends MethodName<C>> = keyof C["methods"][M]["errors"] & string;

/** The reasons of all methods of a contract. */
export type ContractReason<C extends Contract> = {
  [M in MethodName<C>]: ReasonsOf<C, M>;
}[MethodName<C>];

/**
 * What a service writes: one function for each method.
 *
 * A server-streaming handler returns an async iterable (an async generator, most often); the mesh asks it for the
 * next message when the last one has been taken by the transport, and calls its `return()` when the call ends early.
 */
export type Handlers<C extends Contract> = {
  readonly [M in MethodName<C>]: Handler<C, M>;
};

export type Handler<C extends Contract, M extends MethodName<C>> = (
  request: Incoming<C, M>,
  call: Call,
) => Outgoing<C, M>;

/**
 * What a caller holds: one function for each method, each of which wants the `Call` it acts for, so that the
 * deadline, the cancellation, the end user and the trace travel on. They reject with an `RpcError`.
 *
 * A streamed response starts when it is first iterated, and is cancelled when the iteration is left early.
 */
export type Client<C extends Contract> = {
  readonly [M in MethodName<C>]: Handler<C, M>;
} & {
  /**
   * The unary methods again, with expected failures as values: the reasons that the contract declares for the method
   * and those of the mesh, as a union that a `switch` can exhaust.
   */
  readonly try: {
    readonly [M in UnaryMethodName<C>]: (
      request: RequestOf<C, M>,
      call: Call,
    ) => Promise<Result<ResponseOf<C, M>, RpcError<ReasonsOf<C, M> | MeshReason>>>;
  };
};

type UnaryMethodName<C extends Contract> = {
  [M in MethodName<C>]: C["definition"][M] extends {
    requestStream: false;
    responseStream: false;
  }
    ? M
    : never;
}[MethodName<C>];

type Incoming<C extends Contract, M extends MethodName<C>> = C["definition"][M] extends { requestStream: true }
  ? AsyncIterable<RequestOf<C, M>>
  : RequestOf<C, M>;

type Outgoing<C extends Contract, M extends MethodName<C>> = C["definition"][M] extends { responseStream: true }
  ? AsyncIterable<ResponseOf<C, M>>
  : Promise<ResponseOf<C, M>>;

/** A contract with the handlers that fulfil it, for `Mesh.serve`. */
export interface Implementation {
  readonly contract: Contract;
  readonly handlers: Readonly<Record<string, UntypedHandler>>;
}

/** A handler of some method; only the pipeline, which decoded the request by the same contract, may call it. */
export type UntypedHandler = (request: never, call: Call) => unknown;

/** Pairs a contract with its handlers. The types require every method. */
export function implement<C extends Contract>(contract: C, handlers: Handlers<C>): Implementation {
  return { contract, handlers };
}
