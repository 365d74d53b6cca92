import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Order, Order_State } from "#gen/shop/orders/v1/order.ts";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { runCommand } from "../cli/command.ts";
import { dataFolder } from "../cli/data/folder.ts";
import { readRunState } from "../cli/data/run-file.ts";
import type { Shop } from "../cli/shop.ts";
import { captureOutput, isRunning } from "../cli/testing/programs.ts";
import { at, bufCurl, type Json } from "./support/buf-curl.ts";
import { orderWhen, placeOrder, stockOf } from "./support/customer.ts";
import { address, sku, smallCatalogue } from "./support/fixtures.ts";
import { ask, type ShopClients, shopClients, signedBy } from "./support/generated-client.ts";
import { runReadmeOfCallers } from "./support/readme.ts";
import { buildPrograms, newPlace, programsDir, type ShopPlace, startShopAt } from "./support/setup.ts";

let place: ShopPlace;
let shop: Shop;
let clients: ShopClients;
// What is to be found again after a restart.
const ada = { email: `ada-${randomUUID()}@example.com`, password: "correct horse battery", orderId: "", token: "" };
let guestToken = "";
let guestOrderId = "";

beforeAll(async () => {
  await buildPrograms();
  place = await newPlace();
  ({ shop } = await startShopAt(place));
  clients = shopClients(shop.address);
}, 120_000);

afterAll(async () => {
  clients?.close();
  await shop?.stop();
  await place?.remove();
}, 60_000);

describe("with buf curl, which knows nothing but the address", () => {
  test("tells of every public method", async () => {
    const methods = await bufCurl(shop.address).listMethods();
    for (const method of [
      "shop.catalog.v1.CatalogService/SearchProducts",
      "shop.inventory.v1.InventoryService/WatchStock",
      "shop.cart.v1.CartService/AddItem",
      "shop.orders.v1.CheckoutService/PlaceOrder",
      "shop.orders.v1.OrderService/WatchOrder",
      "shop.payments.v1.PaymentService/GetPayment",
      "shop.identity.v1.IdentityService/CreateGuest",
      "grpc.health.v1.Health/Check",
    ]) {
      expect(methods).toContain(method);
    }
  });

  test("does all that the README shows", { timeout: 150_000 }, async () => {
    expect(await runReadmeOfCallers(place.port)).toMatch(/"state": "STATE_(CONFIRMED|PAID)"/);
  });

  test("says that it is well", async () => {
    expect(await bufCurl(shop.address).call("grpc.health.v1.Health/Check", {})).toEqual({ status: "SERVING" });
  });

  test("comes with a catalogue to search and stock to sell", async () => {
    const curl = bufCurl(shop.address);
    const { products } = await curl.call("shop.catalog.v1.CatalogService/SearchProducts", {
      query: "brushless motor 42 mm",
    });
    expect(products).toContainEqual(expect.objectContaining({ externalKey: "blm-42" }));
    const { stock } = await curl.call("shop.inventory.v1.InventoryService/GetStock", { sku });
    expect(stock).toMatchObject({ sku, available: expect.stringMatching(/^[1-9]\d*$/) });
  });

  test("shops to a captured payment", async () => {
    const curl = bufCurl(shop.address);
    const guest = await curl.call("shop.identity.v1.IdentityService/CreateGuest", { requestId: randomUUID() });
    const token = at<string>(guest, "tokens", "accessToken");
    await curl.call("shop.cart.v1.CartService/AddItem", { requestId: randomUUID(), sku, quantity: 2 }, { token });
    const quote = await curl.call("shop.orders.v1.CheckoutService/QuoteCheckout", { address }, { token });
    const request = {
      requestId: randomUUID(),
      email: "guest@example.com",
      address,
      shippingOptionId: at<string>(quote, "options", "0", "shippingOption", "id"),
      paymentToken: "tok_visa",
      expectedTotal: at<Json>(quote, "options", "0", "total"),
    };
    const placed = await curl.call("shop.orders.v1.CheckoutService/PlaceOrder", request, { token });
    const orderId = at<string>(placed, "order", "id");
    const seen = await curl.watch(
      "shop.orders.v1.OrderService/WatchOrder",
      { orderId },
      {
        token,
        until: (message) => at<string>(message, "order", "state") === "STATE_PAID",
      },
    );
    const order = at<Json>(seen.at(-1) ?? {}, "order");
    expect(order).toMatchObject({ state: "STATE_PAID", total: request.expectedTotal });
    const paymentId = at<string>(order, "paymentId");
    const { payment } = await curl.call("shop.payments.v1.PaymentService/GetPayment", { paymentId }, { token });
    expect(payment).toMatchObject({ state: "STATE_CAPTURED", orderId, captured: request.expectedTotal });
    guestToken = token;
    guestOrderId = orderId;

    // The button pressed again: the same order, and nothing bought twice.
    const again = await curl.call("shop.orders.v1.CheckoutService/PlaceOrder", request, { token });
    expect(at<string>(again, "order", "id")).toBe(orderId);
    const other = { ...request, email: "other@example.com" };
    await expect(curl.call("shop.orders.v1.CheckoutService/PlaceOrder", other, { token })).rejects.toMatchObject({
      code: "invalid_argument",
      reason: "REQUEST_ID_REUSED",
    });
  });

  test("explains what is wrong with a request, and who may not send it", async () => {
    const curl = bufCurl(shop.address);
    const broken = { requestId: "x", sku: "", quantity: 0 };
    const failure = curl.call("shop.cart.v1.CartService/AddItem", broken, { token: guestToken });
    await expect(failure).rejects.toMatchObject({
      code: "invalid_argument",
      reason: "INVALID_REQUEST",
      fields: ["request_id", "sku", "quantity"],
    });
    await expect(curl.call("shop.cart.v1.CartService/GetCart", {})).rejects.toMatchObject({
      code: "unauthenticated",
      reason: "TOKEN_MISSING",
    });
    const guest = await curl.call("shop.identity.v1.IdentityService/CreateGuest", { requestId: randomUUID() });
    const token = at<string>(guest, "tokens", "accessToken");
    await curl.call("shop.cart.v1.CartService/AddItem", { requestId: randomUUID(), sku, quantity: 1 }, { token });
    const abroad = { address: { ...address, countryCode: "US" } };
    const notServed = { code: "failed_precondition", reason: "DESTINATION_NOT_SERVED" };
    const quoted = curl.call("shop.orders.v1.CheckoutService/QuoteCheckout", abroad, { token });
    await expect(quoted).rejects.toMatchObject(notServed);
  });
});

describe("with a generated client", () => {
  test("shops to a captured payment, as a customer", async () => {
    const signUp = { requestId: randomUUID(), email: ada.email, password: ada.password };
    const { tokens } = await ask(clients.identity, "signUp", signUp);
    ada.token = tokens?.accessToken ?? "";
    const as = ada.token;
    const before = await stockOf(clients, sku);
    const item = { requestId: randomUUID(), cartId: "", sku, quantity: 3n };
    await ask(clients.cart, "addItem", item, as);
    const order = await placeOrder(clients, ada, "tok_visa");
    ada.orderId = order?.id ?? "";
    const wished = ({ state }: Order) => state === Order_State.PAID;
    const paid = await orderWhen(clients, ada, { orderId: ada.orderId, wished });
    expect(paid.lines).toMatchObject([{ sku, quantity: 3n }]);
    expect(paid.history.map(({ state }) => state)).toContain(Order_State.CONFIRMED);
    const { payment } = await ask(clients.payments, "getPayment", { paymentId: paid.paymentId }, as);
    expect(payment).toMatchObject({ state: Payment_State.CAPTURED, captured: paid.total, amount: paid.total });
    expect(await stockOf(clients, sku)).toMatchObject({ onHand: before.onHand - 3n, available: before.available - 3n });
  });

  test("gives everything back when the payment is declined", async () => {
    const as = ada.token;
    const before = await stockOf(clients, sku);
    const item = { requestId: randomUUID(), cartId: "", sku, quantity: 1n };
    await ask(clients.cart, "addItem", item, as);
    await expect(placeOrder(clients, ada, "tok_declined")).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
    expect(await stockOf(clients, sku)).toMatchObject({
      onHand: before.onHand,
      available: before.available,
      reserved: 0n,
    });
  });

  test("shows nobody somebody else's order", async () => {
    const others = ask(clients.orders, "getOrder", { orderId: guestOrderId }, ada.token);
    await expect(others).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  test("believes no caller that it is a service or the operator", async () => {
    const forged = signedBy(ada.token);
    forged.set("shopmesh-caller", "operator");
    forged.set("shopmesh-proof", "0".repeat(64));
    const adjust = { requestId: randomUUID(), sku, delta: 1000n, note: "" };
    await expect(ask(clients.inventory, "adjustStock", adjust, forged)).rejects.toMatchObject({
      code: status.PERMISSION_DENIED,
    });
  });
});

describe("with the operator's command", () => {
  test("gives a customer a role, which counts from the next token on", async () => {
    const adjust = { requestId: randomUUID(), sku, delta: 1n, note: "found one" };
    await expect(ask(clients.inventory, "adjustStock", adjust, ada.token)).rejects.toMatchObject({
      code: status.PERMISSION_DENIED,
    });
    expect(await shopmesh("admin", "grant", ada.email, "warehouse")).toMatchObject({ code: 0 });
    const signIn = { requestId: randomUUID(), email: ada.email, password: ada.password, deviceToken: "" };
    const { tokens } = await ask(clients.identity, "signIn", signIn);
    ada.token = tokens?.accessToken ?? "";
    const before = await stockOf(clients, sku);
    await ask(clients.inventory, "adjustStock", adjust, ada.token);
    expect((await stockOf(clients, sku)).onHand).toBe(before.onHand + 1n);
    expect(await shopmesh("admin", "grant", "nobody@example.com", "admin")).toMatchObject({
      code: 1,
      text: "shopmesh: there is no customer nobody@example.com\n",
    });
  });

  test("takes goods and money of an order back, and undoes another that is sold", async () => {
    expect(await shopmesh("admin", "grant", ada.email, "admin")).toMatchObject({ code: 0 });
    const signIn = { requestId: randomUUID(), email: ada.email, password: ada.password, deviceToken: "" };
    const { tokens } = await ask(clients.identity, "signIn", signIn);
    ada.token = tokens?.accessToken ?? "";
    const before = await stockOf(clients, sku);
    const { orderId } = ada;
    const announce = { requestId: randomUUID(), orderId, items: [{ sku, quantity: 1n }], note: "one too many" };
    const { orderReturn } = await ask(clients.orders, "createReturn", announce, ada.token);
    const receive = { requestId: randomUUID(), returnId: orderReturn?.id ?? "" };
    await ask(clients.orders, "receiveReturn", receive, ada.token);
    const amount = { currencyCode: "EUR", minorUnits: 100n };
    await ask(clients.orders, "refundOrder", { requestId: randomUUID(), orderId, amount, note: "late" }, ada.token);
    const expected = (orderReturn?.refund?.minorUnits ?? 0n) + 100n;
    const wished = ({ refunded }: Order) => refunded?.minorUnits === expected;
    const { lines, paymentId } = await orderWhen(clients, ada, { orderId, wished });
    expect(lines).toMatchObject([{ sku, quantity: 3n, returnedQuantity: 1n }]);
    const { payment } = await ask(clients.payments, "getPayment", { paymentId }, ada.token);
    expect(payment?.refunded?.minorUnits).toBe(expected);
    expect(await stockOf(clients, sku)).toMatchObject({ available: before.available + 1n });

    const item = { requestId: randomUUID(), cartId: "", sku, quantity: 2n };
    await ask(clients.cart, "addItem", item, ada.token);
    const sold = (await placeOrder(clients, ada, "tok_visa"))?.id ?? "";
    await orderWhen(clients, ada, { orderId: sold, wished: ({ state }) => state === Order_State.PAID });
    await ask(clients.orders, "cancelOrder", { requestId: randomUUID(), orderId: sold, note: "" }, ada.token);
    const undone = ({ state }: Order) => state === Order_State.CANCELLED;
    const { refunded, total } = await orderWhen(clients, ada, { orderId: sold, wished: undone });
    expect(refunded).toEqual(total);
    expect(await stockOf(clients, sku)).toMatchObject({ available: before.available + 1n, reserved: before.reserved });
  });

  test("brings in another catalogue, twice without harm", async () => {
    const file = join(place.dataDir, "..", "catalogue.json");
    await writeFile(file, JSON.stringify(smallCatalogue));
    expect(await shopmesh("import", file)).toEqual({
      code: 0,
      text: "2 rows added, 0 replaced, 0 already there, 0 left out\n1 SKUs given their first stock\n",
    });
    expect(await shopmesh("import", file)).toEqual({
      code: 0,
      text: "0 rows added, 0 replaced, 2 already there, 0 left out\n0 SKUs given their first stock\n",
    });
    expect((await stockOf(clients, smallCatalogue.products[0].variants[0].sku)).onHand).toBe(5n);
  });
});

describe("after a restart on the same folder", () => {
  test("has left nobody behind, finds the orders again, and sells what was left", async () => {
    const before = await stockOf(clients, sku);
    clients.close();
    await expectCleanStop();
    const restarted = await startShopAt(place);
    shop = restarted.shop;
    clients = shopClients(shop.address);
    expect(restarted.output.text()).not.toContain("loaded the sample catalogue");
    expect(await stockOf(clients, sku)).toEqual(before);

    const signIn = { requestId: randomUUID(), email: ada.email, password: ada.password, deviceToken: "" };
    const { tokens } = await ask(clients.identity, "signIn", signIn);
    ada.token = tokens?.accessToken ?? "";
    const list = { customerId: "", state: Order_State.UNSPECIFIED, pageSize: 0, pageToken: "" };
    const { orders } = await ask(clients.orders, "listOrders", list, ada.token);
    expect(orders.map(({ id, state }) => ({ id, state }))).toContainEqual({ id: ada.orderId, state: Order_State.PAID });

    // Tokens outlive the restart, too.
    const { order } = await bufCurl(shop.address).call(
      "shop.orders.v1.OrderService/GetOrder",
      { orderId: guestOrderId },
      { token: guestToken },
    );
    expect(order).toMatchObject({ id: guestOrderId, state: "STATE_PAID" });
    clients.close();
    await expectCleanStop();
  }, 120_000);
});

async function shopmesh(...args: readonly string[]): Promise<{ readonly code: number; readonly text: string }> {
  const output = captureOutput();
  const env = { SHOPMESH_DATA: place.dataDir };
  const code = await runCommand(args, { env, output, errors: output, programsDir, version: "test" });
  return { code, text: output.text() };
}

async function expectCleanStop(): Promise<void> {
  const state = await readRunState(dataFolder(place.dataDir));
  const pids = state?.processes.map(({ pid }) => pid) ?? [];
  expect(pids.length).toBeGreaterThanOrEqual(9);
  for (const pid of pids) expect(await isRunning(pid)).toBe(true);
  await shop.stop();
  for (const pid of pids) expect(await isRunning(pid)).toBe(false);
}
