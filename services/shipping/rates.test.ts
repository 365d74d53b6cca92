import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { SEALING_KEY_BYTES } from "#mesh/sealed-value.ts";
import type { GoodsLine } from "./domain-packing.ts";
import { createRates } from "./rates.ts";

const key = randomBytes(SEALING_KEY_BYTES);
let nowMs = 0;
const clock = { now: () => new Date(nowMs) };
const rates = createRates({ key, clock });

const motor: GoodsLine = { sku: "MOTOR", quantity: 2n, weightGrams: 900, lengthMm: 120, widthMm: 80, heightMm: 60 };
const gear: GoodsLine = { ...motor, sku: "GEAR" };
const address = { countryCode: "DE", postalCode: "10115" };
const goods = { lines: [motor, gear], address };
const offer = {
  speed: "EXPRESS",
  title: "Express",
  minDays: 1,
  maxDays: 2,
  price: 1_290n,
  currencyCode: "EUR",
} as const;
const { id, expireTime } = rates.seal(goods, offer);

describe("the id of a rate", () => {
  it("opens to what was promised, in any process with the key, for the same goods in any order", () => {
    const another = createRates({ key, clock });
    expect(another.open(id, goods)).toEqual({ speed: "EXPRESS", maxDays: 2 });
    expect(rates.open(id, { lines: [gear, motor], address })).toEqual({ speed: "EXPRESS", maxDays: 2 });
  });

  it("can be chosen for half an hour, and is honoured whenever it comes", () => {
    expect(expireTime).toEqual(new Date(30 * 60_000));
    nowMs = 365 * 24 * 60 * 60_000;
    expect(rates.open(id, goods)).toEqual({ speed: "EXPRESS", maxDays: 2 });
    nowMs = 0;
  });

  it("is good for a recipient, a street or a telephone number that were put right", () => {
    const whole = { recipient: "A", lines: ["B"], city: "C", region: "", phone: "1" };
    const quoted = { ...address, ...whole };
    const sealed = rates.seal({ lines: [motor], address: quoted }, offer).id;
    const put = { ...quoted, recipient: "Z", lines: ["Y"], phone: "2" };
    expect(rates.open(sealed, { lines: [motor], address: put })).toBeDefined();
  });

  it.each([
    ["fewer units", { ...goods, lines: [{ ...motor, quantity: 1n }, gear] }],
    ["another weight", { ...goods, lines: [{ ...motor, weightGrams: 901 }, gear] }],
    ["another size", { ...goods, lines: [{ ...motor, heightMm: 61 }, gear] }],
    ["one line fewer", { ...goods, lines: [motor] }],
    ["one line more", { ...goods, lines: [motor, gear, { ...motor, sku: "BRAKE" }] }],
    ["another SKU", { ...goods, lines: [motor, { ...gear, sku: "GEARS" }] }],
    ["another postal code", { ...goods, address: { ...address, postalCode: "10117" } }],
    ["another country", { ...goods, address: { ...address, countryCode: "AT" } }],
  ])("is not good for %s", (_, other) => expect(rates.open(id, other)).toBeUndefined());

  it("is nothing that somebody else made", () => {
    const others = createRates({ key: randomBytes(SEALING_KEY_BYTES), clock });
    for (const made of [others.seal(goods, offer).id, `${id}A`, id.slice(0, -1), "standard", ""]) {
      expect(rates.open(made, goods)).toBeUndefined();
    }
  });

  it("fits into the requests that carry it, and tells nothing of the address", () => {
    const long = { ...goods, address: { countryCode: "IE", postalCode: "D02 AF30 1234567" } };
    const sealed = rates.seal(long, { ...offer, price: 2n ** 63n - 1n }).id;
    expect(sealed.length).toBeLessThanOrEqual(512);
    expect(Buffer.from(sealed.slice("rate_".length), "base64url").toString("latin1")).not.toContain("D02");
  });
});
