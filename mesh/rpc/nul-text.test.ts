import { readFileSync } from "node:fs";
import { create, createFileRegistry, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { ImportProductsRequest } from "#gen/shop/catalog/v1/catalog_service.ts";
import { Category } from "#gen/shop/catalog/v1/product.ts";
import { GetStockRequest, WatchStockRequest } from "#gen/shop/inventory/v1/inventory_service.ts";
import { PlaceOrderRequest } from "#gen/shop/orders/v1/checkout_service.ts";
import { HandleWebhookRequest } from "#gen/shop/payments/v1/payment_service.ts";
import { createRequestValidator } from "./validation.ts";

const descriptors = readFileSync(new URL("../../gen/descriptors.binpb", import.meta.url));
const validate = createRequestValidator(() => descriptors);
const nuls = (type: string, bytes: Uint8Array): readonly string[] =>
  validate(type)(bytes)
    .filter(({ reason }) => reason === "string.nul")
    .map(({ field }) => field);

test("U+0000 is refused in a text, in a list of texts, and deep inside", () => {
  const stock = GetStockRequest.encode({ sku: "A\0B" }).finish();
  expect(nuls("shop.inventory.v1.GetStockRequest", stock)).toEqual(["sku"]);
  const watch = WatchStockRequest.encode({ skus: ["A", "\0"], resumeToken: "" }).finish();
  expect(nuls("shop.inventory.v1.WatchStockRequest", watch)).toEqual(["skus[1]"]);
  const order = PlaceOrderRequest.encode({
    requestId: "request-1",
    cartId: "",
    email: "a@example.org",
    address: {
      recipient: "A",
      lines: ["x", "y\0"],
      city: "C",
      postalCode: "",
      region: "",
      countryCode: "DE",
      phone: "",
    },
    shippingOptionId: "standard",
    paymentToken: "tok",
    expectedTotal: { currencyCode: "EUR", minorUnits: 1n },
  }).finish();
  expect(nuls("shop.orders.v1.PlaceOrderRequest", order)).toEqual(["address.lines[1]"]);
});

test("what a service checks by itself is left to it", () => {
  const row = ImportProductsRequest.encode({
    part: { $case: "category", value: { slug: "a", title: "\0", parentSlug: "" } },
  }).finish();
  expect(nuls("shop.catalog.v1.ImportProductsRequest", row)).toEqual([]);
  expect(
    nuls("shop.catalog.v1.Category", Category.encode({ slug: "a", title: "\0", parentSlug: "" }).finish()),
  ).toEqual(["title"]);
});

test("zero bytes elsewhere are nobody's business", () => {
  const webhook = HandleWebhookRequest.encode({ provider: "p", signature: "s", body: Buffer.from([1, 0, 2]) }).finish();
  expect(validate("shop.payments.v1.HandleWebhookRequest")(webhook)).toEqual([]);
});

test("the text of a map is looked at as well", () => {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors));
  const type = registry.getMessage("google.rpc.ErrorInfo");
  if (type === undefined) throw new Error("the descriptors hold no ErrorInfo");
  const bytes = toBinary(type, create(type, { metadata: { key: "\0" } }));
  expect(nuls("google.rpc.ErrorInfo", bytes)).toEqual(['metadata["key"]']);
});
