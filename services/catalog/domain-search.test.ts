import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  MAX_ATTRIBUTE_LENGTH,
  MAX_QUERY_WORDS,
  MAX_WORD_LENGTH,
  queryWords,
  searchTexts,
  wordsOf,
} from "./domain-search.ts";
import { content, variant } from "./testing/content.ts";

describe("words", () => {
  test.each([
    ["EC-45 flat, 24 V", ["ec", "45", "flat", "24", "v"]],
    ["0.32 Nm", ["0", "32", "nm"]],
    ["it's 'quoted' & | ! <-> :* ()", ["it", "s", "quoted"]],
    ["  \t\n\u0000 ", []],
    ["⚡🔋", []],
    ["Präzision GRÖSSE", ["präzision", "grösse"]],
    ["ﬁne ４５µm", ["fine", "45μm"]],
    ["हिन्दी", ["हिन्दी"]],
    ["https://example.com/a?b=c", ["https", "example", "com", "a", "b", "c"]],
  ])("of %j", (text, words) => {
    expect(wordsOf(text)).toEqual(words);
  });

  test("are cut by characters, never within one", () => {
    expect(wordsOf("a".repeat(1000))).toEqual(["a".repeat(MAX_WORD_LENGTH)]);
    expect(wordsOf("𝕒".normalize("NFKC"))).toEqual(["a"]);
    expect(wordsOf("𐐷".repeat(100))).toEqual(["𐐷".repeat(MAX_WORD_LENGTH)]);
  });

  test("are letters, marks and digits alone, whatever the text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
        for (const word of wordsOf(text)) expect(word).toMatch(/^[\p{L}\p{N}\p{M}]+$/u);
      }),
    );
  });
});

describe("the words of a query", () => {
  test("are there once, the last one last", () => {
    expect(queryWords("motor gear Motor flat motor")).toEqual(["gear", "flat", "motor"]);
  });

  test("are limited", () => {
    const query = Array.from({ length: 100 }, (_, at) => `w${at}`).join(" ");
    expect(queryWords(query)).toHaveLength(MAX_QUERY_WORDS);
  });
});

describe("what a product is found by", () => {
  test("is its title and SKUs, attributes, description", () => {
    const product = content("ec-45", {
      title: "EC 45 flat",
      description: "A brushless motor.",
      attributes: [{ name: "Rated torque", value: "0.32 Nm" }],
      variants: [
        variant("EC45-24", { title: "24 V", attributes: [{ name: "Brake", value: "none" }] }),
        variant("EC45-48", { title: "48 V", attributes: [{ name: "Brake", value: "none" }] }),
      ],
    });
    expect(searchTexts(product)).toEqual({
      heading: "ec 45 flat ec45 24 ec45 48",
      attributes: "24 v 48 v rated torque 0 32 nm brake none",
      description: "a brushless motor",
    });
  });

  test("is bounded, by whole words", () => {
    const attributes = Array.from({ length: 5000 }, (_, at) => ({ name: `name ${at}`, value: `value-${at}` }));
    const { attributes: text } = searchTexts(content("a", { attributes }));
    expect(text.length).toBeLessThanOrEqual(MAX_ATTRIBUTE_LENGTH);
    expect(text.length).toBeGreaterThan(MAX_ATTRIBUTE_LENGTH - 100);
    expect(text).toMatch(/ (name|value|\d+)$/);
  });
});
