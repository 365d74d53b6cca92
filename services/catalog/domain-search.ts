import type { Attribute, Content } from "./domain.ts";

/**
 * How text becomes words. It is done here, for products and for queries alike, and not by PostgreSQL: its own notion
 * of a letter depends on the locale that the server was set up with, and its parser sees URLs, versions and signed
 * numbers where people see words. What leaves this file is words apart by spaces, made of letters and digits alone,
 * so nothing in a query can mean anything to the search engine but the words it holds.
 */
const SEPARATORS = /[^\p{L}\p{N}\p{M}]+/u;

/** Words are cut here, wherever they stand. Nobody searches by more, and the engine refuses words of 2 KiB. */
export const MAX_WORD_LENGTH = 64;
/** What counts of a query. 200 characters rarely hold so many; each word costs a search of its own. */
export const MAX_QUERY_WORDS = 32;
/**
 * How many characters of attributes a product is found by. All that the contract admits would be more than PostgreSQL
 * takes (1 MiB); ordinary products have a hundredth of this.
 */
export const MAX_ATTRIBUTE_LENGTH = 20_000;

/** The words of a text, in compatibility form (NFKC) and lower case. */
export function wordsOf(text: string): readonly string[] {
  return text
    .normalize("NFKC")
    .toLowerCase()
    .split(SEPARATORS)
    .filter((word) => word !== "")
    .map((word) => (word.length <= MAX_WORD_LENGTH ? word : [...word].slice(0, MAX_WORD_LENGTH).join("")));
}

/** The words of a query, none twice. The last one, which may be the beginning of a word, is the last one typed. */
export function queryWords(query: string): readonly string[] {
  const words = wordsOf(query).slice(0, MAX_QUERY_WORDS);
  return words.filter((word, at) => words.lastIndexOf(word) === at);
}

/** What a product is found by, apart from its category: words apart by spaces. */
export interface SearchTexts {
  /** Title and SKUs. */
  readonly heading: string;
  readonly attributes: string;
  readonly description: string;
}

/** The texts that a product of this content is found by. */
export function searchTexts(content: Content): SearchTexts {
  const { title, description, variants } = content;
  const attributes = [...content.attributes, ...variants.flatMap((variant) => variant.attributes)];
  return {
    heading: textOf([title, ...variants.map((variant) => variant.sku)]),
    // A variant's title tells it from the others (`24 V, with brake`), as an attribute does.
    attributes: attributesText(
      variants.map((variant) => variant.title),
      attributes,
    ),
    description: textOf([description]),
  };
}

function attributesText(titles: readonly string[], attributes: readonly Attribute[]): string {
  // Variants mostly share names and often values: each is wanted once.
  const parts = new Set([...titles, ...attributes.flatMap(({ name, value }) => [name, value])]);
  const text = textOf([...parts]);
  if (text.length <= MAX_ATTRIBUTE_LENGTH) return text;
  return text.slice(0, text.lastIndexOf(" ", MAX_ATTRIBUTE_LENGTH));
}

/** Words apart by spaces. */
export function textOf(texts: readonly string[]): string {
  return texts.flatMap(wordsOf).join(" ");
}
