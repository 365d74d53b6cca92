import type { Intercept } from "#testing/faults/exchange.ts";

/** A bug as an adapter could have it: whoever asks the payment gateway again does so under another key. */
export function dropIdempotencyKeys(intercept: Intercept = () => "pass"): Intercept {
  const seen = new Set<string>();
  return (exchange, moment) => {
    const key = exchange.callee === "payment-gateway" ? exchange.headers["idempotency-key"] : undefined;
    if (key === undefined || moment === "after") return intercept(exchange, moment);
    if (seen.has(key)) return { headers: { "idempotency-key": `${key}-dropped` } };
    seen.add(key);
    return intercept(exchange, moment);
  };
}
