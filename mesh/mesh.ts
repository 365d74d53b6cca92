import type { Logger } from "pino";
import type { Clock } from "#mesh/clock.ts";
import type { MeshConfig } from "#mesh/config.ts";
import type { Client, Contract, Implementation } from "#mesh/contract/contract.ts";
import type { SigningKeySource } from "#mesh/identity/user-tokens.ts";
import type { Call, User } from "#mesh/rpc/call.ts";

/** One process's part of the mesh: its clients, its server, and who it is. */
export interface Mesh {
  /** Which workload this is: `orders`. */
  readonly name: string;
  readonly config: MeshConfig;
  readonly log: Logger;
  readonly clock: Clock;
  /** A typed client. Its target is `mesh:///<contract.owner>`; all clients of one owner share connections. */
  client<C extends Contract>(contract: C): Client<C>;
  /** A `Call` for work that nobody asked for: no caller, no end user, a deadline of its own. */
  background(options: { readonly name: string; readonly timeoutMs: number; readonly signal?: AbortSignal }): Call;
  /** The end user of a token that stands in a request. Throws an `RpcError` TOKEN_INVALID or TOKEN_EXPIRED. */
  verifyUser(token: string, call: Call): Promise<User>;
  /**
   * Listens and takes calls; answers health and reflection too. From then on the process ends itself, cleanly, at
   * SIGTERM, SIGINT or the loss of its parent. Rejects when the address cannot be listened on.
   */
  serve(options: ServeOptions): Promise<RunningServer>;
}

export interface ServeOptions {
  readonly services: readonly Implementation[];
  /** Where to find the keys that sign user tokens, when not by asking identity: identity passes its own. */
  readonly signingKeys?: SigningKeySource;
  /** Releases what the handlers used, after the last call has ended. */
  readonly close?: () => Promise<void>;
}

export interface RunningServer {
  readonly host: string;
  readonly port: number;
  /** Stops new calls, finishes the running ones within a bound, and releases everything. Idempotent. */
  close(): Promise<void>;
}
