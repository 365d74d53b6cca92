import { createHmac } from "node:crypto";
import { Metadata } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { sharedSecretIdentity } from "./workload.ts";

const secret = "the secret of this shop";
const callee = sharedSecretIdentity("cart", secret);

function proofBy(workload: string, by = secret): Metadata {
  const metadata = new Metadata();
  sharedSecretIdentity(workload, by).prove(metadata);
  return metadata;
}

test("knows a workload by its proof", () => {
  expect(callee.verify(proofBy("orders"))).toBe("orders");
  expect(callee.verify(proofBy("cart"))).toBe("cart");
});

test("the proof is the HMAC-SHA256 of the name under the secret, in hex", () => {
  const [proof] = proofBy("orders").get("shopmesh-proof");
  expect(proof).toBe(createHmac("sha256", secret).update("orders").digest("hex"));
});

test("knows nobody by a proof that is missing, cut, made with another secret, or another's", () => {
  expect(callee.verify(new Metadata())).toBeUndefined();
  const cut = proofBy("orders");
  cut.set("shopmesh-proof", String(cut.get("shopmesh-proof")[0]).slice(0, 63));
  expect(callee.verify(cut)).toBeUndefined();
  expect(callee.verify(proofBy("orders", "the secret of another shop"))).toBeUndefined();
  const stolen = proofBy("orders");
  stolen.set("shopmesh-caller", "operator");
  expect(callee.verify(stolen)).toBeUndefined();
});

test("goes on telling right from wrong after more names than it remembers", () => {
  for (let i = 0; i < 200; i++) expect(callee.verify(proofBy(`service-${i}`))).toBe(`service-${i}`);
  expect(callee.verify(proofBy("service-199", "the secret of another shop"))).toBeUndefined();
});
