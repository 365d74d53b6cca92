import Stripe from "stripe";

export interface StripeAccess {
  /** Where Stripe's API is: `https://api.stripe.com`. */
  readonly url: string;
  /** A secret or restricted key: `sk_live_…`. */
  readonly apiKey: string;
  /** How long one request may take, its answer read; 5 s unless given. */
  readonly requestTimeoutMs?: number;
}

/** Which version of its API Stripe speaks with us, whatever the account's own setting. It goes with the package's types. */
const API_VERSION = "2026-10-28.endive";
/** Longer than the slowest answer that a buyer would wait for; after it the outcome is unknown. The body counts. */
export const REQUEST_TIMEOUT_MS = 5_000;

/**
 * The official client, kept to one request for one call: no retries of its own (with Node's own HTTP client it would
 * repeat what a closed connection cut off, even when told not to), no redirects, and no figures about us.
 */
export function stripeClient({ url, apiKey, requestTimeoutMs = REQUEST_TIMEOUT_MS }: StripeAccess): Stripe {
  const { protocol, hostname, port } = new URL(url);
  return new Stripe(apiKey, {
    apiVersion: API_VERSION,
    httpClient: Stripe.createFetchHttpClient((...[input, init]: Parameters<typeof fetch>) =>
      fetch(input, { ...init, redirect: "error" }),
    ),
    timeout: requestTimeoutMs,
    maxNetworkRetries: 0,
    telemetry: false,
    protocol: protocol === "http:" ? "http" : "https",
    host: hostname,
    port,
  });
}
