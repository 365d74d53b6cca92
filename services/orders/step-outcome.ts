import type { RpcError } from "#mesh/contract/errors.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Order } from "./domain-order.ts";
import type { SagaEvent } from "./domain-saga.ts";

/** What came of a command: something happened, or nobody knows whether it did. */
export type StepOutcome =
  | { readonly known: true; readonly event: SagaEvent }
  | { readonly known: false; readonly error: string };

/** Everything that a command is carried out with. */
export interface Task {
  readonly order: Order;
  /** The callee's request_id: (order, step), so that asking twice has one effect. */
  readonly requestId: string;
  readonly call: Call;
  readonly token: string | undefined;
}

export function event(happened: SagaEvent): StepOutcome {
  return { known: true, event: happened };
}

export function unknown(error: RpcError): StepOutcome {
  return { known: false, error: describeError(error) };
}

export function malformed(field: string): StepOutcome {
  return { known: false, error: `an answer without its ${field}` };
}

/** The reason alone: it is stored, and a message might carry what must not be. */
export function describeError({ code, reason, domain }: RpcError): string {
  return `${code} ${reason}${domain === "" ? "" : ` (${domain})`}`;
}
