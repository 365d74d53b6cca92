import { createHmac } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Order_State } from "#gen/shop/orders/v1/order.ts";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { PaymentServiceService } from "#gen/shop/payments/v1/payment_service.ts";
import { dataFolder } from "../cli/data/folder.ts";
import { loadSecrets } from "../cli/data/secrets.ts";
import type { Shop } from "../cli/shop.ts";
import { type Buyer, createBuyer } from "./support/buyer.ts";
import { sku } from "./support/fixtures.ts";
import { buildPrograms, newPlace, type ShopPlace, startShopAt } from "./support/setup.ts";

let place: ShopPlace;
let shop: Shop;
let buyer: Buyer;

beforeAll(async () => {
  await buildPrograms();
  place = await newPlace();
  ({ shop } = await startShopAt(place, {
    // Each event comes three times at once, in any order, and often before the answer to what it tells of.
    SHOPMESH_SIMULATOR_WEBHOOK_COPIES: "2",
    SHOPMESH_SIMULATOR_WEBHOOK_DELAY_MS: "0",
    SHOPMESH_SIMULATOR_WEBHOOK_SHUFFLE_MS: "20",
  }));
  buyer = await createBuyer(shop.address);
}, 120_000);

afterAll(async () => {
  buyer?.close();
  await shop?.stop();
  await place?.remove();
}, 60_000);

test("the payment gateway tells of the payments of orders, and neither that nor telling it again changes anything", async () => {
  const buy = async (): Promise<string> => {
    await buyer.add(sku, 1n);
    return (await buyer.place(await buyer.quote("tok_visa"))).id;
  };
  const ids: string[] = [];
  for (let count = 0; count < 3; count += 1) ids.push(await buy());
  const states = () => Promise.all(ids.map((id) => buyer.order(id).then(({ state }) => state)));
  await expect.poll(states, patience).toEqual(ids.map(() => Order_State.PAID));
  await expect.poll(deliveries, patience).toEqual({ events: 6, acknowledged: 6, given_up: 0, waiting: 0 });

  const order = () => buyer.order(ids[0] ?? "");
  const { paymentId } = await order();
  const payment = () => buyer.call(PaymentServiceService.getPayment, { paymentId });
  const before = [await order(), await payment()];
  expect(before[1]).toMatchObject({ payment: { state: Payment_State.CAPTURED } });

  // The latest event first, and each once more than it was sent.
  const reference = (await payment()).payment?.providerReference ?? "";
  const capture = `${reference.replace("auth_", "cap_")}_1`;
  for (const eventId of [`evt_captured_${capture}`, `evt_authorized_${reference}`]) {
    const response = await post(JSON.stringify({ id: eventId, authorization_id: reference }));
    expect([response.status, await response.json()]).toEqual([200, { event_id: eventId, first: false }]);
  }
  // An event that nobody has sent yet is a hint to look, and what is found is what is known.
  const response = await post(JSON.stringify({ id: "evt_voided_made_up", authorization_id: reference }));
  expect([response.status, await response.json()]).toEqual([200, { event_id: "evt_voided_made_up", first: true }]);
  expect([await order(), await payment()]).toEqual(before);
}, 60_000);

test("who does not know the secret is refused", async () => {
  const body = JSON.stringify({ id: "evt_forged", authorization_id: "auth_1" });
  expect((await post(body, "another secret")).status).toBe(401);
  const unsigned = await fetch(`http://${shop.address}/webhooks/simulator`, { method: "POST", body });
  expect(unsigned.status).toBe(400);
});

const patience = { timeout: 30_000, interval: 100 };

function secrets() {
  return loadSecrets(dataFolder(place.dataDir).secretsFile, []);
}

/** How the simulator says that its webhooks go. */
async function deliveries(): Promise<unknown> {
  const port = shop.processes().find(({ name }) => name === "payment-gateway")?.port;
  const headers = { authorization: `Bearer ${secrets().simulatorKey}` };
  return (await fetch(`http://127.0.0.1:${port}/v1/webhooks`, { headers })).json();
}

function post(body: string, secret = secrets().webhookSecret): Promise<Response> {
  const seconds = Math.floor(Date.now() / 1_000);
  const digest = createHmac("sha256", secret).update(`${seconds}.${body}`).digest("hex");
  const headers = { "simulator-signature": `t=${seconds},v1=${digest}` };
  return fetch(`http://${shop.address}/webhooks/simulator`, { method: "POST", headers, body });
}
