import { createPrivateKey, X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import { createTestAuthority, selfSigned } from "./authority.ts";

test("an authority signs certificates of one name, for a key of their own", async () => {
  const authority = await createTestAuthority();
  const cart = await authority.issue("cart");
  const leaf = new X509Certificate(cart.certificate);
  const root = new X509Certificate(authority.certificate);
  expect(leaf.verify(root.publicKey)).toBe(true);
  expect(leaf.checkIssued(root)).toBe(true);
  expect(leaf.subjectAltName).toBe("URI:spiffe://shopmesh/cart");
  expect(leaf.checkPrivateKey(createPrivateKey(cart.privateKey))).toBe(true);
});

test("a certificate can be signed by its own key alone", async () => {
  const { certificate } = await selfSigned("cart");
  const leaf = new X509Certificate(certificate);
  expect(leaf.verify(leaf.publicKey)).toBe(true);
});
