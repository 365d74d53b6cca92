import type { Logger } from "pino";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import type { Clock } from "#mesh/clock.ts";
import { failures } from "#mesh/contract/errors.ts";
import type { Database } from "#mesh/postgres/index.ts";
import type { PaymentGateway } from "./payment-gateway.ts";

/** What the handlers and the settler work with. */
export interface Deps {
  readonly db: Database;
  readonly clock: Clock;
  readonly newId: (prefix: string) => string;
  readonly gateway: PaymentGateway;
  readonly log: Logger;
  /** ISO 4217; the shop's. */
  readonly currencyCode: string;
}

/** Makes the errors that the contract declares. */
export const fail = failures(PaymentService);

/** Throws PROVIDER_UNKNOWN when a payment was made with another payment gateway: ours has never heard of it. */
export function checkProvider({ gateway }: Pick<Deps, "gateway">, { provider }: { readonly provider: string }): void {
  if (provider === gateway.name) return;
  throw fail(
    "PROVIDER_UNKNOWN",
    `The payment was made with ${provider}, and the shop is connected to ${gateway.name}.`,
    {
      provider,
    },
  );
}
