import { experimental, type MethodConfig, type ServiceConfig, status } from "@grpc/grpc-js";
import type { Contract } from "#mesh/contract/contract.ts";

/** How each method is called, by its path. Grows as clients are made. */
export interface CallConfigs {
  /** Adds the methods of a contract. */
  add(contract: Contract): void;
  readonly selector: experimental.ConfigSelector;
}

/** The first try and two more; with these delays they fit into a quarter of a second. */
const retryPolicy: NonNullable<MethodConfig["retryPolicy"]> = {
  maxAttempts: 3,
  initialBackoff: "0.050s",
  maxBackoff: "0.500s",
  backoffMultiplier: 2,
  retryableStatusCodes: [status.UNAVAILABLE],
};

/**
 * The balancing of every channel, and the budget that its retries share: each failure takes a token, each success
 * gives a tenth back, and below half of them nothing is retried. So retries add a tenth to the load of a service that
 * fails steadily, and no more.
 */
export const serviceConfig: ServiceConfig = {
  loadBalancingConfig: [{ round_robin: {} }],
  retryThrottling: { maxTokens: 100, tokenRatio: 0.1 },
  methodConfig: [],
};

// grpc-js falls back to pick_first without a word when it cannot read this: refuse to start instead.
for (const config of serviceConfig.loadBalancingConfig) experimental.parseLoadBalancingConfig(config);

/** Retries what the contract calls idempotent, and nothing else. Deadlines are set on each call, not here. */
export function createCallConfigs(): CallConfigs {
  const configs = new Map<string, MethodConfig>();
  return {
    add(contract) {
      for (const [key, { path }] of Object.entries(contract.definition)) {
        const idempotency = contract.methods[key]?.idempotency ?? "UNKNOWN";
        configs.set(path, idempotency === "UNKNOWN" ? once : retried);
      }
    },
    selector: {
      invoke: (path) => ({
        methodConfig: configs.get(path) ?? once,
        pickInformation: {},
        status: status.OK,
        dynamicFilterFactories: [],
      }),
      unref() {},
    },
  };
}

const once: MethodConfig = { name: [] };
const retried: MethodConfig = { name: [], retryPolicy };
