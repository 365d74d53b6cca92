import { createHmac } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Order_State } from "#gen/shop/orders/v1/order.ts";
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
  ({ shop } = await startShopAt(place));
  buyer = await createBuyer(shop.address);
}, 120_000);

afterAll(async () => {
  buyer?.close();
  await shop?.stop();
  await place?.remove();
}, 60_000);

test("the payment gateway tells of an order's payment, and neither that nor telling it again changes anything", async () => {
  await buyer.add(sku, 1n);
  const { id } = await buyer.place(await buyer.quote("tok_visa"));
  const order = () => buyer.order(id);
  await expect.poll(() => order().then(({ state }) => state), patience).toBe(Order_State.PAID);
  await expect.poll(deliveries, patience).toMatchObject({ acknowledged: 2, waiting: 0 });
  const { paymentId } = await order();
  const payment = () => buyer.call(PaymentServiceService.getPayment, { paymentId });
  const before = [await order(), await payment()];

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
