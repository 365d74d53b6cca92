import type { Clock } from "#mesh/clock.ts";
import { ConfigError, type Environment, readSetting } from "#mesh/config.ts";
import type { PaymentGateway } from "../payment-gateway.ts";
import { simulatorGateway } from "./simulator-gateway.ts";
import { takesCurrency } from "./stripe-amounts.ts";

export interface GatewayChoice {
  readonly clock: Clock;
  /** The shop's; a gateway that does not take it is not chosen. */
  readonly currencyCode: string;
  readonly environment?: Environment;
}

/** The payment gateway that the settings name. Throws a `ConfigError` that says which setting is missing or wrong. */
export async function chooseGateway(choice: GatewayChoice): Promise<PaymentGateway> {
  const { environment } = choice;
  const name = readSetting("SHOPMESH_PAYMENT_GATEWAY", { default: "simulator", environment });
  switch (name) {
    case "simulator":
      return chooseSimulator(environment);
    case "stripe":
      return chooseStripe(choice);
    default:
      throw new ConfigError(`SHOPMESH_PAYMENT_GATEWAY must be simulator or stripe, not ${JSON.stringify(name)}`);
  }
}

function chooseSimulator(environment: Environment | undefined): PaymentGateway {
  const webhookSecret = readSetting("SHOPMESH_PAYMENT_WEBHOOK_SECRET", { default: "", environment });
  return simulatorGateway({
    url: readSetting("SHOPMESH_PAYMENT_GATEWAY_URL", { environment }),
    apiKey: readSetting("SHOPMESH_PAYMENT_GATEWAY_KEY", { environment }),
    webhookSecret: webhookSecret === "" ? undefined : webhookSecret,
  });
}

// No wrong value is repeated: it may be a right secret in the wrong place.
async function chooseStripe({ clock, currencyCode, environment }: GatewayChoice): Promise<PaymentGateway> {
  const apiKey = readSetting("SHOPMESH_STRIPE_KEY", { environment });
  if (!/^(sk|rk)_(test|live)_\w+$/.test(apiKey)) {
    throw new ConfigError("SHOPMESH_STRIPE_KEY must be a secret or restricted key of Stripe's: sk_live_… or rk_live_…");
  }
  const webhookSecret = readSetting("SHOPMESH_STRIPE_WEBHOOK_SECRET", { environment });
  if (!/^whsec_\w+$/.test(webhookSecret)) {
    throw new ConfigError("SHOPMESH_STRIPE_WEBHOOK_SECRET must be the signing secret of a webhook endpoint: whsec_…");
  }
  const url = readSetting("SHOPMESH_STRIPE_URL", { default: "https://api.stripe.com", environment });
  if (!URL.canParse(url) || !isSafe(new URL(url))) {
    throw new ConfigError("SHOPMESH_STRIPE_URL must be an https address without a path, or one of this machine");
  }
  if (!takesCurrency(currencyCode))
    throw new ConfigError(`Stripe takes no payments in SHOPMESH_CURRENCY ${currencyCode}`);
  // Loaded only here: it is large, and a shop that uses another gateway is not to carry it.
  const { stripeGateway } = await import("./stripe-gateway.ts");
  return stripeGateway({ url, apiKey, webhookSecret }, clock);
}

/** The key goes over the wire: only encrypted, or not beyond this machine. */
function isSafe({ protocol, hostname, pathname }: URL): boolean {
  const isOwn = hostname === "127.0.0.1" || hostname === "localhost";
  return (protocol === "https:" || (protocol === "http:" && isOwn)) && pathname === "/";
}
