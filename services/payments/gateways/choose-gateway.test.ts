import { expect, test } from "vitest";
import { systemClock } from "#mesh/clock.ts";
import type { Environment } from "#mesh/config.ts";
import { chooseGateway } from "./choose-gateway.ts";

const choose = (environment: Environment, currencyCode = "EUR") =>
  chooseGateway({ clock: systemClock, currencyCode, environment });

const simulator = { SHOPMESH_PAYMENT_GATEWAY_URL: "http://127.0.0.1:8090", SHOPMESH_PAYMENT_GATEWAY_KEY: "key" };
const stripe = {
  SHOPMESH_PAYMENT_GATEWAY: "stripe",
  SHOPMESH_STRIPE_KEY: "sk_test_abc",
  SHOPMESH_STRIPE_WEBHOOK_SECRET: "whsec_abc",
};

test("the simulator is what there is without a word", async () => {
  expect((await choose(simulator)).name).toBe("simulator");
  expect((await choose({ ...simulator, SHOPMESH_PAYMENT_GATEWAY: "simulator" })).name).toBe("simulator");
});

test("Stripe is chosen by name", async () => {
  expect((await choose(stripe)).name).toBe("stripe");
  expect((await choose({ ...stripe, SHOPMESH_STRIPE_URL: "http://127.0.0.1:12111" })).name).toBe("stripe");
});

test.each([
  [
    "an unknown gateway",
    { SHOPMESH_PAYMENT_GATEWAY: "paypal" },
    "SHOPMESH_PAYMENT_GATEWAY must be simulator or stripe",
  ],
  ["no address of the simulator", {}, "SHOPMESH_PAYMENT_GATEWAY_URL is not set"],
  ["no key", { ...stripe, SHOPMESH_STRIPE_KEY: "" }, "SHOPMESH_STRIPE_KEY is not set"],
  ["a key that is public", { ...stripe, SHOPMESH_STRIPE_KEY: "pk_test_abc" }, "SHOPMESH_STRIPE_KEY must be"],
  ["no webhook secret", { ...stripe, SHOPMESH_STRIPE_WEBHOOK_SECRET: "" }, "SHOPMESH_STRIPE_WEBHOOK_SECRET is not set"],
  [
    "a key in its place",
    { ...stripe, SHOPMESH_STRIPE_WEBHOOK_SECRET: "sk_test_abc" },
    "SHOPMESH_STRIPE_WEBHOOK_SECRET must be",
  ],
  ["an open address", { ...stripe, SHOPMESH_STRIPE_URL: "http://api.example.com" }, "SHOPMESH_STRIPE_URL must be"],
  ["no address", { ...stripe, SHOPMESH_STRIPE_URL: "api" }, "SHOPMESH_STRIPE_URL must be"],
])("%s is said in one line, without the value", async (_, environment: Environment, message) => {
  const error: unknown = await choose(environment).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: "ConfigError", message: expect.stringContaining(message) });
  expect(String(error)).not.toMatch(/_test_abc/);
});

test("a currency that Stripe has not is said at the start", async () => {
  await expect(choose(stripe, "UGX")).rejects.toThrow("SHOPMESH_CURRENCY UGX");
});
