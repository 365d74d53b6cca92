import type { Content, OwnedProduct, Variant } from "../domain.ts";

/** A variant with everything it needs, but for what a test says. */
export function variant(sku: string, given: Partial<Variant> = {}): Variant {
  return {
    sku,
    title: "",
    priceMinor: 19_900n,
    currencyCode: "EUR",
    weightGrams: 850,
    dimensions: { lengthMm: 120, widthMm: 60, heightMm: 60 },
    attributes: [],
    ...given,
  };
}

/** A product's content with one variant, named after its external key, but for what a test says. */
export function content(externalKey: string, given: Partial<Content> = {}): Content {
  return {
    externalKey,
    title: `Product ${externalKey}`,
    description: "",
    categorySlug: "motors",
    attributes: [],
    variants: [variant(externalKey.toUpperCase())],
    ...given,
  };
}

/** An active product with that content. */
export function owned(given: Partial<OwnedProduct> = {}): OwnedProduct {
  return {
    ...content("ec-45"),
    id: "prd_01jx0000000000000000000000",
    state: "ACTIVE",
    version: 3n,
    createTime: new Date("2026-06-01T12:00:00Z"),
    updateTime: new Date("2026-06-01T12:00:00Z"),
    retiredSkus: [],
    ...given,
  };
}
