import { type ChannelOptions, Client, credentials } from "@grpc/grpc-js";
import { CartService } from "#gen/shop/cart/v1/cart_service.contract.ts";
import { CatalogService } from "#gen/shop/catalog/v1/catalog_service.contract.ts";
import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import { CheckoutService } from "#gen/shop/orders/v1/checkout_service.contract.ts";
import { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import type { Contract, Idempotency } from "#mesh/contract/contract.ts";
import type { CallKind, ClientKind } from "./recorder.ts";

const contracts: readonly Contract[] = [
  CartService,
  CatalogService,
  CheckoutService,
  IdentityService,
  InventoryService,
  OrderService,
  PaymentService,
];

const idempotencies = new Map<string, Idempotency>(
  contracts.flatMap(({ definition, methods }) =>
    Object.entries(definition).map(([name, { path }]) => [path, methods[name]?.idempotency ?? "UNKNOWN"] as const),
  ),
);

const kinds: Readonly<Record<Idempotency, CallKind>> = {
  NO_SIDE_EFFECTS: "read",
  IDEMPOTENT: "write",
  UNKNOWN: "once only",
};

/** What the contract says of a method, by its full path. */
export function callKind(path: string): CallKind {
  return kinds[idempotencies.get(path) ?? "UNKNOWN"];
}

const repeatable = [...idempotencies].filter(([, idempotency]) => idempotency !== "UNKNOWN");

/** As the README has it for callers: only what the contracts call idempotent, only what surely found nobody. */
const retrying: ChannelOptions = {
  "grpc.service_config": JSON.stringify({
    methodConfig: [
      {
        name: repeatable.map(([path]) => {
          const [, service, method] = path.split("/");
          return { service, method };
        }),
        retryPolicy: {
          maxAttempts: 4,
          initialBackoff: "0.1s",
          maxBackoff: "1s",
          backoffMultiplier: 2,
          retryableStatusCodes: ["UNAVAILABLE"],
        },
      },
    ],
    retryThrottling: { maxTokens: 100, tokenRatio: 0.1 },
  }),
};

/** A client with a connection of its own. */
export function openClient(address: string, kind: ClientKind): Client {
  return new Client(address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    // Who was refused once comes back soon: how long an instance is away is what is measured, not a client's patience.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1_000,
    ...(kind === "retrying" ? retrying : { "grpc.enable_retries": 0 }),
  });
}
