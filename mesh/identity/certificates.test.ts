import { expect, test } from "vitest";
import { type Certificates, createCertificateHolder } from "./certificates.ts";

const certificatesOf = (generation: bigint): Certificates => ({
  service: "cart",
  certificate: "",
  privateKey: "",
  trusted: [],
  expireTime: new Date(0),
  generation,
});

test("whoever watches is told the certificates that there are, and each that comes, until they stop", () => {
  const holder = createCertificateHolder();
  const early: bigint[] = [];
  const late: bigint[] = [];
  const stop = holder.watch(({ generation }) => early.push(generation));
  expect(holder.current()).toBeUndefined();
  holder.put(certificatesOf(1n));
  holder.watch(({ generation }) => late.push(generation));
  holder.put(certificatesOf(2n));
  stop();
  holder.put(certificatesOf(3n));
  expect(early).toEqual([1n, 2n]);
  expect(late).toEqual([1n, 2n, 3n]);
  expect(holder.current()?.generation).toBe(3n);
});
