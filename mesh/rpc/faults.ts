import type { Duration } from "#gen/google/protobuf/duration.ts";
import type { TrafficFault } from "#gen/mesh/v1/discovery_service.ts";
import { RpcError } from "#mesh/contract/errors.ts";
import { codeName, reasonOfBareStatus } from "#mesh/rpc/status.ts";

/** The call that a fault may hit. */
export interface FaultedCall {
  /** The workload that makes it. */
  readonly caller: string;
  /** `/shop.cart.v1.CartService/GetCart` */
  readonly path: string;
}

/** What is done to a call before it leaves: first the delay, then the failure. */
export interface Injection {
  /** The faults that hit it. */
  readonly faultIds: readonly string[];
  /** The longest delay of them. */
  readonly delayMs: number;
  /** The first failure of them, by its number in google.rpc.Code; undefined for none. */
  readonly statusCode: number | undefined;
}

/**
 * What a service's faults do to a call; undefined for nothing. Each fault that is meant for such calls draws for itself:
 * `random` gives a number from 0 up to 1 each time.
 */
export function chooseFaults(
  faults: readonly TrafficFault[],
  { caller, path }: FaultedCall,
  random: () => number,
): Injection | undefined {
  const hits = faults.filter(
    ({ callers, methods, percent }) =>
      (callers.length === 0 || callers.includes(caller)) &&
      (methods.length === 0 || methods.includes(path)) &&
      random() * 100 < percent,
  );
  if (hits.length === 0) return undefined;
  return {
    faultIds: hits.map(({ faultId }) => faultId),
    delayMs: Math.max(...hits.map(({ delay }) => toMs(delay))),
    statusCode: hits.find(({ statusCode }) => statusCode !== 0)?.statusCode,
  };
}

function toMs(delay: Duration | undefined): number {
  return delay === undefined ? 0 : Number(delay.seconds) * 1_000 + delay.nanos / 1e6;
}

/** The failure that an injection gives a call to `service`. As one that was tried already: nobody retries it away. */
export function injectedFailure(statusCode: number, faultIds: readonly string[], service: string): RpcError {
  const code = codeName(statusCode);
  const message = `${service} was not called: ${code} was injected on purpose (${faultIds.join(", ")})`;
  return new RpcError({ code, reason: reasonOfBareStatus(code, ""), message, domain: service, remote: true });
}
