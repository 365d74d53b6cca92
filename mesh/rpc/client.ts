import { meshReasons } from "#gen/mesh/v1/reasons.ts";
import type { Client, Contract } from "#mesh/contract/contract.ts";
import { RpcError } from "#mesh/contract/errors.ts";
import { fail, ok, type Result } from "#mesh/result.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { type ClientParts, callForOne, callForStream, type Outlet } from "#mesh/rpc/client-pipeline.ts";
import { methodsOf } from "#mesh/rpc/method.ts";

/** The client of a contract: one function for each of its methods. Cheap; connections belong to the channels. */
export function createClient<C extends Contract>(parts: ClientParts, contract: C): Client<C> {
  const methods: Record<string, (input: unknown, call: Call) => unknown> = {};
  const attempts: Record<string, (input: unknown, call: Call) => unknown> = {};
  for (const [name, method] of methodsOf(contract)) {
    const outlet: Outlet = { parts, owner: contract.owner, method };
    const run = method.responseStream ? callForStream : callForOne;
    methods[name] = (input, call) => run(outlet, input, call);
    if (!method.responseStream && !method.requestStream) {
      attempts[name] = (input, call) => asResult(outlet, callForOne(outlet, input, call));
    }
  }
  // Holds because `Client` maps the same definition that `methodsOf` walks.
  return { ...methods, try: attempts } as unknown as Client<C>;
}

/** Expected failures become values. What the contract does not name is still thrown: nobody can have planned for it. */
async function asResult({ method }: Outlet, answer: Promise<unknown>): Promise<Result<unknown, RpcError>> {
  try {
    return ok(await answer);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    const expected = Object.hasOwn(method.policy.errors, error.reason) || Object.hasOwn(meshReasons, error.reason);
    if (!expected) throw error;
    return fail(error);
  }
}
