/** A variant of the sample catalogue, of which there is enough for all tests. */
export const sku = "BLM-42-24V-26W";

/** Where test orders go. */
export const address = {
  recipient: "Ada Example",
  lines: ["Sample Street 1"],
  city: "Berlin",
  postalCode: "10115",
  region: "",
  countryCode: "DE",
  phone: "",
};

/** A catalogue of one product, as a file holds it. */
export const smallCatalogue = {
  categories: [{ slug: "e2e", title: "Tests" }],
  products: [
    {
      external_key: "e2e-1",
      title: "Test part",
      description: "Of a test.",
      category_slug: "e2e",
      attributes: [],
      variants: [
        {
          sku: "E2E-1",
          title: "One",
          price: { currency_code: "EUR", minor_units: 100 },
          weight_grams: 1,
          dimensions: { length_mm: 1, width_mm: 1, height_mm: 1 },
          attributes: [],
          stock: 5,
        },
      ],
    },
  ],
} as const;
