import { randomUUID } from "node:crypto";
import { readdirSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Erasure_State } from "#gen/shop/customers/v1/customer.ts";
import { CustomerService } from "#gen/shop/customers/v1/customer_service.contract.ts";
import { Order_State } from "#gen/shop/orders/v1/order.ts";
import { openSession } from "#mesh/postgres/database.ts";
import { findTraces, textsIn } from "#testing/traces.ts";
import { inDatabase } from "./audit/read-books.ts";
import { orderWhen } from "./support/customer.ts";
import { type FaultShop, startFaultShop } from "./support/fault-shop.ts";
import { sku } from "./support/fixtures.ts";
import { ask, type ShopClients, shopClients } from "./support/generated-client.ts";
import { buildPrograms, newPlace, projectDir, type ShopPlace } from "./support/setup.ts";

// Real processes: people tell the shop who they are in every way there is, and are forgotten; then every column of every
// table of every database, and every log, is searched for what they told.

const address = {
  ...{ recipient: "Hedwig Erasable", lines: ["Forgetting Alley 77b", "Rear building"], city: "Nowhereville" },
  ...{ postalCode: "99887", region: "", countryCode: "DE", phone: "+49 555 010203" },
};
const email = `hedwig-${randomUUID()}@erasable.example`;
const TOLD = [
  "hedwig",
  "erasable",
  "Forgetting Alley",
  "Rear building",
  "Nowhereville",
  "99887",
  "010203",
  "Godmother",
];
const patience = { interval: 50, timeout: 60_000 };

let place: ShopPlace;
let shop: FaultShop;
let clients: ShopClients;

beforeAll(async () => {
  await buildPrograms();
  place = await newPlace();
  shop = await startFaultShop({ place });
  clients = shopClients(shop.address);
}, 120_000);

afterAll(async () => {
  clients?.close();
  await shop?.close();
  await place?.remove();
}, 60_000);

test("nobody who is forgotten is in any table or log, though the process that forgets them is killed", async () => {
  const customer = await tellEverything(await signUp());
  const guest = await tellEverything(await createGuest());
  expect((await tracesInDatabases()).map((trace) => trace.split(".")[0])).toEqual(
    expect.arrayContaining(["customers", "identity", "orders"]),
  );
  // What is wrong is told to whoever sent it, and to no log.
  const wrong = { requestId: randomUUID(), label: "Godmother", address: { ...address, countryCode: "Nowhereville" } };
  await expect(ask(clients.customers, "createAddress", wrong, customer)).rejects.toThrow();
  const again = { requestId: randomUUID(), email, password: "correct horse battery" };
  await expect(ask(clients.identity, "signUp", again)).rejects.toThrow();

  const ids: string[] = [];
  for (const token of [customer, guest]) {
    const { erasure } = await ask(
      clients.customers,
      "eraseCustomer",
      { requestId: randomUUID(), customerId: "" },
      token,
    );
    ids.push(erasure?.id ?? "");
  }
  shop.signal("customers-1", "SIGKILL");
  // As if the time was over for which it holds what it worked on.
  await inCustomers("update erasures set lease_until = now()");
  for (const id of ids) await expect.poll(() => stateOf(id), patience).toBe(Erasure_State.VERIFYING);
  expect(await tracesInDatabases()).toEqual([]);

  // As if a quarter of an hour went by.
  await inCustomers("update erasures set verify_time = now(), next_attempt_time = now()");
  for (const id of ids) await expect.poll(() => stateOf(id), patience).toBe(Erasure_State.DONE);
  expect(await tracesInDatabases()).toEqual([]);
  const logs = await filesOf(shop.logsDir);
  expect(logs).toContain('"method":"PlaceOrder"');
  expect(textsIn(logs, TOLD)).toEqual([]);
  for (const folder of ["payment-gateway", "control", "mail"]) {
    expect(textsIn(await filesOf(join(place.dataDir, folder)), TOLD), folder).toEqual([]);
  }
}, 180_000);

async function signUp(): Promise<string> {
  const request = { requestId: randomUUID(), email, password: "correct horse battery" };
  return (await ask(clients.identity, "signUp", request)).tokens?.accessToken ?? "";
}

async function createGuest(): Promise<string> {
  return (await ask(clients.identity, "createGuest", { requestId: randomUUID() })).tokens?.accessToken ?? "";
}

/** Fills in everything that can be filled in: a profile, an address, an order that is undone, a full cart. */
async function tellEverything(token: string): Promise<string> {
  const customer = { displayName: "Hedwig", phone: address.phone, languageCode: "de", defaultAddressId: "" };
  const updateMask = ["display_name", "phone", "language_code"];
  await ask(clients.customers, "updateCustomer", { requestId: randomUUID(), customer, updateMask, etag: "" }, token);
  await ask(clients.customers, "createAddress", { requestId: randomUUID(), label: "Godmother", address }, token);
  const item = () => ({ requestId: randomUUID(), cartId: "", sku, quantity: 1n });
  await ask(clients.cart, "addItem", item(), token);
  const { options } = await ask(clients.checkout, "quoteCheckout", { cartId: "", address }, token);
  const order = {
    ...{ requestId: randomUUID(), cartId: "", email, address, paymentToken: "tok_visa" },
    ...{ shippingOptionId: options[0]?.shippingOption?.id ?? "", expectedTotal: options[0]?.total },
  };
  await expect(
    ask(clients.checkout, "placeOrder", { ...order, requestId: randomUUID(), paymentToken: "tok_declined" }, token),
  ).rejects.toThrow();
  const orderId = (await ask(clients.checkout, "placeOrder", order, token)).order?.id ?? "";
  const wished = (state: Order_State) => ({ orderId, wished: (one: { state: Order_State }) => one.state === state });
  await orderWhen(clients, { token }, wished(Order_State.PAID));
  const cancel = { requestId: randomUUID(), orderId, note: "a present for my Godmother" };
  await ask(clients.orders, "cancelOrder", cancel, token);
  await orderWhen(clients, { token }, wished(Order_State.CANCELLED));
  await ask(clients.cart, "addItem", item(), token);
  return token;
}

/** How far an erasure is, as the operator sees it; undefined while the service is away. */
async function stateOf(erasureId: string): Promise<Erasure_State | undefined> {
  const call = shop.operator.background({ name: "erasure", timeoutMs: 10_000 });
  const answer = await shop.operator.client(CustomerService).try.getErasure({ erasureId }, call);
  call.done();
  return answer.ok ? answer.value.erasure?.state : undefined;
}

/** Like `orders.orders: Nowhereville`. */
async function tracesInDatabases(): Promise<readonly string[]> {
  const traces: string[] = [];
  const services = readdirSync(join(projectDir, "services")).filter((name) =>
    readdirSync(join(projectDir, "services", name)).includes("migrations"),
  );
  for (const service of services) {
    const found = await inDatabase(shop.source(), service, (session) => findTraces(session, TOLD));
    traces.push(...found.map((trace) => `${service}.${trace}`));
  }
  expect(services.length).toBeGreaterThan(8);
  return traces;
}

async function inCustomers(text: string): Promise<void> {
  const { adminUrl, prefix } = shop.source();
  const url = new URL(adminUrl);
  url.pathname = `/${prefix}_customers`;
  const session = await openSession(url.href, "test");
  await session.script(text);
  await session.close();
}

async function filesOf(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return (await Promise.all(files.map((file) => readFile(file, "latin1")))).join("\n");
}
