import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Speed } from "#gen/shop/shipping/v1/shipment.ts";
import { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import type { QuoteRatesRequest } from "#gen/shop/shipping/v1/shipping_service.ts";
import { addressIn, startTestShipping, type TestShipping } from "./testing/shipping.ts";

// By the network and the tariffs that the migrations fill in.

let shipping: TestShipping;
beforeAll(async () => {
  shipping = await startTestShipping();
});
afterAll(() => shipping?.close());

const lines = (quantity: bigint, weightGrams: number) => [
  { sku: "MOTOR", quantity, weightGrams, lengthMm: 200, widthMm: 100, heightMm: 100 },
];
const eur = (minorUnits: bigint) => ({ currencyCode: "EUR", minorUnits });
const ask = (changes: Partial<QuoteRatesRequest>) => {
  const request = { address: addressIn("DE", "10115"), lines: lines(1n, 900), subtotal: eur(1_000n), ...changes };
  const orders = shipping.mesh.mesh("orders");
  return orders.client(ShippingService).quoteRates(request, orders.background({ name: "test", timeoutMs: 10_000 }));
};

describe("a quote", () => {
  it.each([
    ["DE", "10115", 1n, 900, 490n, 890n],
    ["DE", "10115", 1n, 7_500, 610n, 1_370n],
    ["DE", "14467", 1n, 900, 490n, 1_290n],
    ["DE", "14467", 30n, 1_000, 1_740n, 4_090n],
    ["AT", "1010", 1n, 900, 990n, 2_490n],
    ["AT", "1010", 5n, 2_000, 1_440n, 4_010n],
    ["ES", "28001", 1n, 900, 1_490n, 3_990n],
    ["SE", "113 30", 12n, 1_000, 2_470n, 6_890n],
  ])("to %s %s for %d × %d g asks %d, or %d for express", async (country, code, units, grams, standard, express) => {
    const answer = await ask({ address: addressIn(country, code), lines: lines(units, grams) });
    expect(answer.rates).toMatchObject([
      { title: "Standard", speed: Speed.STANDARD, price: eur(standard) },
      { title: "Express", speed: Speed.EXPRESS, price: eur(express) },
    ]);
  });

  it.each([
    ["DE", 14_999n, 490n],
    ["DE", 15_000n, 0n],
    ["AT", 15_000n, 990n],
  ])("to %s for goods of %d asks %d: standard is free at home from 150.00 on", async (country, subtotal, price) => {
    const address = addressIn(country, country === "DE" ? "50667" : "1010");
    const answer = await ask({ address, subtotal: eur(subtotal) });
    expect(answer.rates[0]).toMatchObject({ speed: Speed.STANDARD, price: eur(price) });
    expect(answer.rates[1]?.price?.minorUnits).toBeGreaterThan(0n);
  });

  it("gives rates that a shipment of these goods can be booked at", async () => {
    const address = addressIn("DE", "10115");
    const { rates: given } = await ask({ address });
    for (const { id, speed, minDays, maxDays, expireTime } of given) {
      const opened = shipping.rates.open(id, { address, lines: lines(1n, 900) });
      expect(opened).toEqual({ speed: speed === Speed.EXPRESS ? "EXPRESS" : "STANDARD", maxDays });
      expect(minDays).toBeLessThanOrEqual(maxDays);
      expect(expireTime?.getTime()).toBeGreaterThan(shipping.clock.now().getTime() + 29 * 60_000);
    }
    expect(new Set(given.map(({ id }) => id)).size).toBe(2);
  });

  it.each([
    ["a country without a zone", "US", "10115"],
    ["an island of a country that is served", "ES", "35001"],
    ["the same in another writing", "DE", "27 498"],
  ])("is refused for %s", async (_, countryCode, postalCode) => {
    await expect(ask({ address: addressIn(countryCode, postalCode) })).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      reason: "DESTINATION_NOT_SERVED",
      metadata: { country_code: countryCode, postal_code: postalCode },
    });
  });

  it.each([
    ["a unit that is too heavy", lines(1n, 400_001)],
    ["more than a shipment's parcels", lines(10_000n, 1_000_000)],
    ["ten thousand heavy units", lines(10_000n, 29_000)],
  ])("is refused for %s", async (_, tooMuch) => {
    const refusal = { code: "FAILED_PRECONDITION", reason: "GOODS_TOO_LARGE", metadata: { sku: "MOTOR" } };
    await expect(ask({ lines: tooMuch })).rejects.toMatchObject(refusal);
  });

  it("is refused in another currency than the shop's", async () => {
    const refusal = { code: "INVALID_ARGUMENT", violations: [{ field: "subtotal.currency_code" }] };
    await expect(ask({ subtotal: { currencyCode: "USD", minorUnits: 1n } })).rejects.toMatchObject(refusal);
  });
});

describe("the tariffs", () => {
  it("are followed when they change: rates that were given stay as they are", async () => {
    const address = addressIn("DK", "2100");
    const before = await ask({ address });
    await shipping.db.query("update tariffs set base_price = base_price + 1 where distance = 'NEIGHBOUR'");
    await shipping.network.reread();
    const after = await ask({ address });
    expect([before, after].map(({ rates: [cheapest] }) => cheapest?.price?.minorUnits)).toEqual([990n, 991n]);
    expect(shipping.rates.open(before.rates[0]?.id ?? "", { address, lines: lines(1n, 900) })).toBeDefined();
    await shipping.db.query("update tariffs set base_price = base_price - 1 where distance = 'NEIGHBOUR'");
    await shipping.network.reread();
  });

  it("of farther never ask less, nor those of quicker, for whatever weight", async () => {
    const destinations = ["10115", "14467"].map((code) => addressIn("DE", code));
    destinations.push(addressIn("AT", "1010"), addressIn("ES", "28001"));
    for (const grams of [0, 2_001, 5_000, 5_001, 30_000, 400_000]) {
      let nearer = [0n, 0n];
      for (const address of destinations) {
        const answer = await ask({ address, lines: lines(1n, grams) });
        const priced = answer.rates.map(({ price }) => price?.minorUnits ?? -1n);
        for (const [i, price] of priced.entries()) expect(price).toBeGreaterThanOrEqual(nearer[i] ?? 0n);
        expect(answer.rates.map(({ speed }) => speed)).toEqual([Speed.STANDARD, Speed.EXPRESS]);
        nearer = priced;
      }
    }
  });

  it("say where the shop delivers, too: nowhere that no tariff goes", async () => {
    await shipping.db.query("delete from tariffs where distance = 'EUROPE'");
    await shipping.network.reread();
    await expect(ask({ address: addressIn("FI", "00100") })).rejects.toMatchObject({
      reason: "DESTINATION_NOT_SERVED",
    });
  });
});
