import type { Contract, Handlers, Implementation } from "#mesh/contract/contract.ts";
import type { Call } from "#mesh/rpc/call.ts";

/** What tests see of the calls to a fake, and how they interfere. */
export interface Interference {
  /** Every call that came, as `PaymentService.authorizePayment`, in order. */
  readonly calls: string[];
  /** Runs before a call takes effect; throws to fail it, or waits. */
  before: (method: string) => Promise<void> | void;
  /** Runs after a call took effect and before its answer; throws to lose the answer, or waits. */
  after: (method: string) => Promise<void> | void;
}

export function noInterference(): Interference {
  return { calls: [], before: () => {}, after: () => {} };
}

/** The methods of a contract that a fake has, those that stream answers among them. */
type Some<C extends Contract> = { readonly [M in keyof Handlers<C>]?: Handlers<C>[M] };

/** A service with some of its methods; the others fail as a defect does. */
export function partialService<C extends Contract>(
  contract: C,
  handlers: Some<C>,
  interference: Interference,
): Implementation {
  const prefix = contract.name.slice(contract.name.lastIndexOf(".") + 1);
  const given = new Map<string, unknown>(Object.entries(handlers));
  const all = Object.keys(contract.methods).map((name) => {
    const method = `${prefix}.${name}`;
    const handler = async (request: never, call: Call): Promise<unknown> => {
      const serve = given.get(name);
      if (typeof serve !== "function") throw new Error(`the fake has no ${method}`);
      interference.calls.push(method);
      await interference.before(method);
      const response: unknown = await serve(request, call);
      await interference.after(method);
      return response;
    };
    const stream = (request: never, call: Call): unknown => {
      const serve = given.get(name);
      if (typeof serve !== "function") throw new Error(`the fake has no ${method}`);
      return serve(request, call);
    };
    return [name, streams(contract, name) ? stream : handler] as const;
  });
  return { contract, handlers: Object.fromEntries(all) };
}

function streams({ definition }: Contract, name: string): boolean {
  const { responseStream } = Object.entries(definition).find(([method]) => method === name)?.[1] ?? {};
  return responseStream === true;
}
