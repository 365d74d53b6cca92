import { createHmac } from "node:crypto";
import { pino } from "pino";
import { newId } from "#mesh/ids.ts";
import { type FakeClock, fakeClock } from "#testing/clock.ts";
import { type FaultProxy, startFaultProxy } from "#testing/fault-proxy.ts";
import { removeFolder, temporaryFolder } from "#testing/folders.ts";
import { startPaymentGatewaySimulator } from "../../../simulators/payment-gateway/simulator.ts";
import { simulatorGateway } from "../gateways/simulator-gateway.ts";
import { stripeGateway } from "../gateways/stripe-gateway.ts";
import { startFakeStripe } from "./fake-stripe/fake-stripe.ts";
import type { Bench, Webhook } from "./gateway-contract.ts";

const LIFETIME_MS = 7 * 24 * 60 * 60 * 1_000;

/** The simulator behind its adapter. */
export async function simulatorBench(): Promise<Bench> {
  const clock = fakeClock();
  const dataDir = await temporaryFolder();
  const [apiKey, webhookSecret] = ["key-of-the-simulator", "secret-of-the-simulator"];
  const log = pino({ level: "silent" });
  const simulator = await startPaymentGatewaySimulator({ port: 0, dataDir, apiKey, log, clock });
  const link = await lossyLink(simulator.url);
  const adapter = (key: string) => simulatorGateway({ url: link.url, apiKey: key, webhookSecret });
  return {
    ...{ gateway: adapter(apiKey), stranger: adapter("key-of-nobody"), clock, loseNext: link.loseNext },
    tokens: {
      ...{ good: "tok_visa", declined: "tok_declined" },
      ...{ insufficientFunds: "tok_insufficient_funds", unknown: "tok_of_nobody" },
    },
    expire: () => clock.advance(LIFETIME_MS),
    webhook: (about, { at = clock.now(), secret = webhookSecret } = {}) =>
      sign(JSON.stringify({ id: newId("evt"), authorization_id: about }), at, secret),
    signed: (body) => sign(body, clock.now(), webhookSecret),
    async close() {
      await link.close();
      await simulator.close();
      await removeFolder(dataDir);
    },
  };
}

function sign(text: string, at: Date, secret: string): Webhook {
  const body = Buffer.from(text);
  const seconds = Math.floor(at.getTime() / 1_000);
  const digest = createHmac("sha256", secret).update(`${seconds}.`).update(body).digest("hex");
  return { signature: `t=${seconds},v1=${digest}`, body };
}

/** The fake of Stripe behind its adapter. */
export async function stripeBench(clock: FakeClock = fakeClock()): Promise<Bench> {
  const stripe = await startFakeStripe(clock);
  const { apiKey, webhookSecret } = stripe;
  const link = await lossyLink(stripe.url);
  const adapter = (key: string) => stripeGateway({ url: link.url, apiKey: key, webhookSecret }, clock);
  return {
    ...{ gateway: adapter(apiKey), stranger: adapter("sk_test_of_nobody"), clock, loseNext: link.loseNext },
    tokens: {
      ...{ good: "pm_card_visa", declined: "pm_card_chargeDeclined" },
      ...{ insufficientFunds: "pm_card_chargeDeclinedInsufficientFunds", unknown: "pm_card_of_nobody" },
    },
    expire: (authorizationReference) => {
      clock.advance(LIFETIME_MS);
      stripe.expire(authorizationReference);
    },
    webhook: (about, options) => {
      const object = about === undefined ? { id: "po_1", object: "payout" } : { id: about, object: "payment_intent" };
      return stripe.webhook({ id: newId("evt"), object: "event", type: "some.thing", data: { object } }, options);
    },
    // Stripe signs in the same way.
    signed: (body) => sign(body, clock.now(), webhookSecret),
    async close() {
      await link.close();
      await stripe.close();
    },
  };
}

/** A way to a gateway on which changes, or the answers to them, get lost when told so. */
async function lossyLink(
  url: string,
): Promise<Pick<FaultProxy, "close"> & { url: string; loseNext: Bench["loseNext"] }> {
  let losing: "request" | "answer" | undefined;
  const proxy = await startFaultProxy({
    ...{ protocol: "http", caller: "payments", callee: "gateway", upstream: () => new URL(url).host },
    intercept: ({ method }, moment) => {
      const isTime = losing === (moment === "before" ? "request" : "answer");
      if (!isTime || !method.startsWith("POST ")) return "pass";
      losing = undefined;
      return "cut";
    },
  });
  return {
    url: `http://${proxy.address}`,
    loseNext: (what) => {
      losing = what;
    },
    close: proxy.close,
  };
}
