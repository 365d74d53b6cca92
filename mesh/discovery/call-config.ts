import { experimental, type MethodConfig, type ServiceConfig, status } from "@grpc/grpc-js";

/**
 * The balancing of every channel. grpc-js tries again by itself what never left or was refused unread; all other retries
 * are those of mesh/rpc/attempts.ts.
 */
export const serviceConfig: ServiceConfig = {
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [],
};

// grpc-js falls back to pick_first without a word when it cannot read this: refuse to start instead.
for (const config of serviceConfig.loadBalancingConfig) experimental.parseLoadBalancingConfig(config);

const methodConfig: MethodConfig = { name: [] };

/** All calls go the same way. Deadlines are set on each call, not here. */
export const configSelector: experimental.ConfigSelector = {
  invoke: () => ({
    methodConfig,
    pickInformation: {},
    status: status.OK,
    dynamicFilterFactories: [],
  }),
  unref() {},
};
