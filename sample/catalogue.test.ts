import { describe, expect, it } from "vitest";
import { CatalogueError, parseCatalogue, readCatalogue } from "./catalogue.ts";

describe("a catalogue file", () => {
  const category = { slug: "motors", title: "Motors" };
  const variant = {
    sku: "M-1",
    title: "one",
    price: { currency_code: "EUR", minor_units: 100 },
    weight_grams: 10,
    dimensions: { length_mm: 3, width_mm: 2, height_mm: 1 },
    attributes: [{ name: "Voltage", value: "24 V" }],
    stock: 5,
  };
  const product = {
    external_key: "m",
    title: "Motor",
    description: "Turns.",
    category_slug: "motors",
    attributes: [],
    variants: [variant],
  };
  const file = (changes: object = {}) => JSON.stringify({ categories: [category], products: [product], ...changes });
  const problemsOf = (text: string): readonly string[] => {
    try {
      parseCatalogue(text, "file");
    } catch (error) {
      if (error instanceof CatalogueError) return error.message.split("\n  ");
      throw error;
    }
    return [];
  };
  const ofVariant = (changes: object) => file({ products: [{ ...product, variants: [{ ...variant, ...changes }] }] });

  it("becomes what the contract takes", () => {
    expect(parseCatalogue(file(), "file")).toEqual({
      categories: [{ slug: "motors", title: "Motors", parentSlug: "" }],
      products: [
        {
          externalKey: "m",
          title: "Motor",
          description: "Turns.",
          categorySlug: "motors",
          attributes: [],
          variants: [
            {
              sku: "M-1",
              title: "one",
              price: { currencyCode: "EUR", minorUnits: 100n },
              weightGrams: 10,
              dimensions: { lengthMm: 3, widthMm: 2, heightMm: 1 },
              attributes: [{ name: "Voltage", value: "24 V" }],
            },
          ],
        },
      ],
      openingStock: [{ sku: "M-1", quantity: 5n }],
    });
  });

  it("may leave out what the contract lets be empty, and stock of which there is none", () => {
    const bare = { ...product, description: "", variants: [{ ...variant, title: "", attributes: [], stock: 0 }] };
    const catalogue = parseCatalogue(file({ products: [bare] }), "file");
    expect(catalogue.products).toMatchObject([{ description: "", variants: [{ title: "", attributes: [] }] }]);
    expect(catalogue.openingStock).toEqual([]);
  });

  it.each([
    ["not JSON", "{", "file is not JSON"],
    ["not an object", "[]", "the file must be an object"],
    ["without products", file({ products: [] }), "products must be a list of 1 to"],
    ["with an unknown field", file({ extra: 1 }), 'the file has the unknown field "extra"'],
    ["with a slug in capitals", file({ categories: [{ ...category, slug: "Motors" }] }), "categories[0].slug must be"],
    [
      "with a child before its parent",
      file({ categories: [{ ...category, parent_slug: "all" }] }),
      'categories[0] stands before its parent "all"',
    ],
    [
      "with a category twice",
      file({ categories: [category, category] }),
      'categories[1] has the slug "motors" a second time',
    ],
    [
      "with an unknown category",
      file({ products: [{ ...product, category_slug: "gears" }] }),
      'products[0] names the unknown category "gears"',
    ],
    [
      "with an external key twice",
      file({ products: [product, { ...product, variants: [{ ...variant, sku: "M-2" }] }] }),
      'products has the external_key "m" more than once',
    ],
    [
      "with a SKU twice",
      file({ products: [product, { ...product, external_key: "n" }] }),
      'products has the SKU "M-1" more than once',
    ],
    [
      "with a missing title",
      file({ products: [{ ...product, title: undefined }] }),
      "products[0].title must be a text",
    ],
    ["with a SKU in small letters", ofVariant({ sku: "m-1" }), "products[0].variants[0].sku must be"],
    [
      "with a price in euros",
      ofVariant({ price: { currency_code: "EUR", minor_units: 9.99 } }),
      "products[0].variants[0].price.minor_units must be a whole number",
    ],
    [
      "with a price as text",
      ofVariant({ price: { currency_code: "EUR", minor_units: "999" } }),
      "products[0].variants[0].price.minor_units must be a whole number",
    ],
    [
      "with a negative weight",
      ofVariant({ weight_grams: -1 }),
      "products[0].variants[0].weight_grams must be a whole number from 0",
    ],
    [
      "with a box on its side",
      ofVariant({ dimensions: { length_mm: 1, width_mm: 2, height_mm: 3 } }),
      "products[0].variants[0].dimensions must have its longest side first",
    ],
    [
      "with an attribute twice",
      ofVariant({ attributes: [...variant.attributes, ...variant.attributes] }),
      'products[0].variants[0].attributes names "Voltage" twice',
    ],
    [
      "with an attribute that is no text",
      ofVariant({ attributes: [{ name: "Voltage", value: 24 }] }),
      "products[0].variants[0].attributes[0].value must be a text",
    ],
    [
      "with stock below nothing",
      ofVariant({ stock: -1 }),
      "products[0].variants[0].stock must be a whole number from 0",
    ],
  ])("%s is refused, with the place named", (_, text, problem) => {
    expect(problemsOf(text)).toContainEqual(expect.stringContaining(problem));
  });

  it("is refused with all of its problems at once, up to twenty", () => {
    const products = Array.from({ length: 30 }, (_, index) => ({
      ...product,
      external_key: `m${index}`,
      title: 1,
      variants: [{ ...variant, sku: `M-${index}` }],
    }));
    const problems = problemsOf(file({ products }));
    expect(problems).toHaveLength(22);
    expect(problems.at(-1)).toBe("and 10 more");
  });

  it("that is not there is said to be so", async () => {
    await expect(readCatalogue(new URL("./nowhere.json", import.meta.url))).rejects.toThrow(CatalogueError);
  });
});
