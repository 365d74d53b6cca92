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
