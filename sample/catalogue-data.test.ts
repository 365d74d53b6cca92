import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Category, ProductInput, type Variant } from "#gen/shop/catalog/v1/product.ts";
import { createRequestValidator } from "#mesh/rpc/validation.ts";
import { readCatalogue } from "./catalogue.ts";

const { categories, products, openingStock } = await readCatalogue(new URL("./catalogue.json", import.meta.url));

interface Sold {
  readonly product: ProductInput;
  readonly variant: Variant;
}

const variants: readonly Sold[] = products.flatMap((product) =>
  product.variants.map((variant) => ({ product, variant })),
);

describe("the sample catalogue", () => {
  it("has some sixty products in as many variants as a shop needs to be worth browsing", () => {
    expect(products.length).toBeGreaterThanOrEqual(60);
    expect(variants.length).toBeGreaterThanOrEqual(150);
    expect(categories.filter(({ parentSlug }) => parentSlug !== "").length).toBeGreaterThanOrEqual(5);
  });

  it("breaks no rule of the contract", () => {
    const descriptors = new URL("../gen/descriptors.binpb", import.meta.url);
    const validator = createRequestValidator(() => readFileSync(descriptors));
    const checkCategory = validator("shop.catalog.v1.Category");
    const checkProduct = validator("shop.catalog.v1.ProductInput");
    const violations = [
      ...categories.map((category) => checkCategory(Category.encode(category).finish())),
      ...products.map((product) => checkProduct(ProductInput.encode(product).finish())),
    ];
    expect(new Set(violations.map((found) => JSON.stringify(found)))).toEqual(new Set(["[]"]));
    expect(checkProduct(ProductInput.encode({ ...ProductInput.create(), title: "x" }).finish())).not.toEqual([]);
  });

  it("has something in every category, or in those below it", () => {
    const used = new Set(products.map(({ categorySlug }) => categorySlug));
    const parents = new Set(categories.map(({ parentSlug }) => parentSlug));
    for (const { slug } of categories) expect([slug, used.has(slug) || parents.has(slug)]).toEqual([slug, true]);
  });

  it("has stock of every variant, once", () => {
    expect(openingStock.map(({ sku }) => sku)).toEqual(variants.map(({ variant }) => variant.sku));
    expect(openingStock.filter(({ quantity }) => quantity > 1_000n)).toEqual([]);
  });

  it.each(products.map((product) => [product.externalKey, product] as const))(
    "describes %s in words of its own",
    (_, product) => {
      const sentences = product.description.split(/[.:?!](?:\s|$)/).filter((sentence) => sentence !== "");
      expect(sentences.length).toBeGreaterThanOrEqual(2);
      expect(product.description.length).toBeGreaterThan(120);
      expect(product.description.length).toBeLessThan(600);
      const others = products.filter((other) => other !== product);
      for (const sentence of sentences) {
        expect(others.filter(({ description }) => description.includes(sentence))).toEqual([]);
      }
      expect(product.attributes.length).toBeGreaterThanOrEqual(4);
      expect(product.attributes.length).toBeLessThanOrEqual(8);
    },
  );

  it.each(products.map((product) => [product.externalKey, product] as const))(
    "tells the variants of %s apart",
    (_, product) => {
      const titles = product.variants.map(({ title }) => title);
      expect(new Set(titles).size).toBe(titles.length);
      const facts = product.variants.map(({ attributes }) => JSON.stringify(attributes));
      expect(new Set(facts).size).toBe(facts.length);
      const common = new Set(product.attributes.map(({ name }) => name));
      for (const { attributes } of product.variants) {
        expect(attributes.filter(({ name }) => common.has(name))).toEqual([]);
      }
    },
  );
});

describe("every variant of the sample catalogue", () => {
  it("has a plausible price in euros", () => {
    const wrong = variants.filter(({ variant: { price } }) => {
      const cents = price?.currencyCode === "EUR" ? price.minorUnits : 0n;
      return cents < 500n || cents > 500_000n;
    });
    expect(wrong).toEqual([]);
  });

  it("has a weight and a box that go together", () => {
    const wrong = variants.filter(({ variant: { weightGrams, dimensions } }) => {
      const { lengthMm = 0, widthMm = 0, heightMm = 0 } = dimensions ?? {};
      // Between a box of foam and a block of steel.
      const gramsPerCubicCentimetre = weightGrams / ((lengthMm * widthMm * heightMm) / 1_000);
      const dense = gramsPerCubicCentimetre > 0.05 && gramsPerCubicCentimetre < 4;
      return !dense || weightGrams < 10 || weightGrams > 20_000 || heightMm < 20 || lengthMm > 2_000;
    });
    expect(wrong).toEqual([]);
  });

  it("that is a motor has the power which its torque gives at its speed", () => {
    const motors = variants.flatMap((one) => {
      const watts = amount(one, "Rated power", "W");
      const newtonMetres = amount(one, "Rated torque", "Nm");
      const rpm = amount(one, "Rated speed", "rpm");
      return watts && newtonMetres && rpm ? [{ ...one, ratio: (newtonMetres * rpm * 2 * Math.PI) / 60 / watts }] : [];
    });
    expect(motors.length).toBeGreaterThan(40);
    expect(motors.filter(({ ratio }) => ratio < 0.97 || ratio > 1.03)).toEqual([]);
  });

  it("that is a power supply gives its voltage times its current", () => {
    const supplies = variants.flatMap((one) => {
      const watts = amount(one, "Output power", "W");
      const volts = amount(one, "Output voltage", "V DC");
      const amperes = amount(one, "Output current", "A");
      return watts && volts && amperes ? [{ ...one, ratio: (volts * amperes) / watts }] : [];
    });
    expect(supplies.length).toBeGreaterThan(4);
    expect(supplies.filter(({ ratio }) => ratio !== 1)).toEqual([]);
  });

  it("costs and weighs more than a smaller one like it", () => {
    const sizes: readonly (readonly [string, string])[] = [
      ["Rated power", "W"],
      ["Stroke", "mm"],
      ["Length", "m"],
      ["Output power", "W"],
    ];
    // With a brake or a sensor, even a small one can cost more than the next size without.
    const plain = variants.filter(({ variant }) => !/-[BP]$/.test(variant.sku));
    const pairs = sizes.flatMap(([name, unit]) =>
      plain.flatMap((small) =>
        plain
          .filter((large) => large.product === small.product)
          .filter((large) => Number(amount(small, name, unit)) < Number(amount(large, name, unit)))
          .map((large) => ({ small: small.variant, large: large.variant })),
      ),
    );
    expect(pairs.length).toBeGreaterThan(50);
    const wrong = pairs.filter(({ small, large }) => {
      const dearer = Number(large.price?.minorUnits) > Number(small.price?.minorUnits);
      return !dearer || large.weightGrams <= small.weightGrams;
    });
    expect(wrong).toEqual([]);
  });
});

/** The number of an attribute in this unit, of the variant or else of the product. */
function amount({ product, variant }: Sold, name: string, unit: string): number | undefined {
  const found = [...variant.attributes, ...product.attributes].find((attribute) => attribute.name === name)?.value;
  return found?.endsWith(` ${unit}`) && /^[0-9.]+ /.test(found) ? Number.parseFloat(found) : undefined;
}
