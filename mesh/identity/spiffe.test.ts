import { expect, test } from "vitest";
import { workloadOf, workloadUri } from "./spiffe.ts";

test.each(["cart", "payment-gateway", "v2"])(
  "reads the workload %s out of the one name of a certificate",
  (workload) => {
    expect(workloadOf({ subjectaltname: `URI:${workloadUri(workload)}` })).toBe(workload);
  },
);

test.each([
  undefined,
  "",
  "URI:spiffe://shopmesh/cart, URI:spiffe://shopmesh/orders",
  "URI:spiffe://shopmesh/cart, DNS:cart",
  "DNS:cart, URI:spiffe://shopmesh/cart",
  "DNS:cart",
  "URI:spiffe://another/cart",
  "URI:spiffe://shopmesh/",
  "URI:spiffe://shopmesh/Cart",
  "URI:spiffe://shopmesh/cart/",
  "URI:spiffe://shopmesh/cart?x",
  "URI:https://shopmesh/cart",
  'URI:"spiffe://shopmesh/cart, URI:spiffe://shopmesh/orders"',
  "URI:spiffe://shopmesh/cart\nURI:spiffe://shopmesh/cart",
  `URI:spiffe://shopmesh/${"a".repeat(64)}`,
])("reads no workload out of %j", (subjectaltname) => {
  expect(workloadOf({ subjectaltname })).toBeUndefined();
});
