import { meshReasons } from "#gen/mesh/v1/reasons.ts";
import type { Client, Contract, MethodName, RequestOf, ResponseOf } from "#mesh/contract/contract.ts";
import { RpcError } from "#mesh/contract/errors.ts";
import { fail, ok } from "#mesh/result.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { type Party, Violation, type World } from "./world.ts";

/** The methods of a contract that a simulated callee has: what a request does there, and the answer to it. */
export type Handlers<C extends Contract> = {
  readonly [M in MethodName<C>]?: (request: RequestOf<C, M>) => ResponseOf<C, M> | Promise<ResponseOf<C, M>>;
};

/** The client of a callee in the same world: each call is a message. */
export function simulatedClient<C extends Contract>(
  contract: C,
  parts: { readonly world: World; readonly from: Party; readonly to: Party; readonly handlers: () => Handlers<C> },
): Client<C> {
  const { world, from, to, handlers } = parts;
  const attempts: Record<string, (request: never, call: Call) => unknown> = {};
  for (const [name, { errors }] of Object.entries(contract.methods)) {
    attempts[name] = async (request, call) => {
      // Holds because `Handlers` maps the same contract. Read with each call, for a test may plant a bug.
      const serve = (handlers() as Record<string, ((request: unknown) => unknown) | undefined>)[name];
      if (serve === undefined) throw new Violation(`the simulation has no ${contract.owner}.${name}`);
      const detail = (): string => `${name} ${JSON.stringify(request, withBigints)}`;
      const timeoutMs = call.deadline - world.nowMs;
      try {
        return ok(
          await world.ask({ from, to, what: name, detail, timeoutMs, signal: call.signal }, () => serve(request)),
        );
      } catch (error) {
        if (!(error instanceof RpcError)) throw error;
        // As the mesh's clients: what the contract does not name is nothing that anybody can have planned for.
        if (!Object.hasOwn(errors, error.reason) && !Object.hasOwn(meshReasons, error.reason)) throw error;
        return fail(error);
      }
    };
  }
  // Holds because `Client` maps the contract's methods, which were walked. The simulation calls through `try` alone.
  return { try: attempts } as unknown as Client<C>;
}

function withBigints(_name: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}` : value;
}
