import { readFile } from "node:fs/promises";
import type { Attribute, Category, Dimensions, ProductInput, Variant } from "#gen/shop/catalog/v1/product.ts";
import type { Money } from "#gen/shop/type/v1/money.ts";

/** A catalogue as a shop can be filled with it, in the order in which it can be sent. */
export interface Catalogue {
  /** A category stands after the one above it. */
  readonly categories: readonly Category[];
  readonly products: readonly ProductInput[];
  /** What there is of each variant at the beginning; those of which there is nothing are left out. */
  readonly openingStock: readonly OpeningStock[];
}

export interface OpeningStock {
  readonly sku: string;
  readonly quantity: bigint;
}

/** A catalogue file that is not as it should be. The message names every problem, up to twenty. */
export class CatalogueError extends Error {
  override readonly name = "CatalogueError";
}

/**
 * Reads a catalogue file: JSON, in which each category is a `shop.catalog.v1.Category` and each product a
 * `shop.catalog.v1.ProductInput`, but for `stock` in its variants. Throws a `CatalogueError` for a file that cannot be
 * read, or that breaks a rule of the contract.
 */
export async function readCatalogue(url: URL): Promise<Catalogue> {
  let text: string;
  try {
    text = await readFile(url, "utf8");
  } catch (cause) {
    throw new CatalogueError(`${url.pathname} cannot be read`, { cause });
  }
  return parseCatalogue(text, url.pathname);
}

/** The catalogue in a text; `source` stands in errors. Throws a `CatalogueError`. */
export function parseCatalogue(text: string, source: string): Catalogue {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new CatalogueError(`${source} is not JSON: ${cause instanceof Error ? cause.message : cause}`);
  }
  const problems: string[] = [];
  const root = object({ value: json, path: "", problems }, ["categories", "products"]);
  const categories = list(root.categories, parseCategory, { from: 1, to: 500 });
  const products = list(root.products, parseProduct, { from: 1, to: 10_000 });
  checkReferences(categories, products, problems);
  if (problems.length > 0) {
    const more = problems.length > MAX_PROBLEMS ? [`and ${problems.length - MAX_PROBLEMS} more`] : [];
    throw new CatalogueError(
      [`${source} is not a catalogue:`, ...problems.slice(0, MAX_PROBLEMS), ...more].join("\n  "),
    );
  }
  return {
    categories,
    products: products.map(({ product }) => product),
    openingStock: products.flatMap(({ openingStock }) => openingStock),
  };
}

const MAX_PROBLEMS = 20;
const SLUG = /^(?=.{1,60}$)[a-z0-9]+(-[a-z0-9]+)*$/;
const SKU = /^[A-Z0-9][A-Z0-9-]{1,47}$/;
const EXTERNAL_KEY = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,79}$/;
const CURRENCY = /^[A-Z]{3}$/;
const ONE_LINE = /^[^\p{C}]+$/u;
const MAYBE_ONE_LINE = /^[^\p{C}]*$/u;
const MAYBE_LINES = /^[^\p{C}\n]*(\n[^\p{C}\n]*)*$/u;

/** A value from the file, where it stands there, and where what is wrong with it is noted. */
interface Place {
  readonly value: unknown;
  readonly path: string;
  readonly problems: string[];
}

interface Range {
  readonly from: number;
  readonly to: number;
}

interface ParsedProduct {
  readonly product: ProductInput;
  readonly openingStock: readonly OpeningStock[];
}

function parseCategory(place: Place): Category {
  const fields = object(place, ["slug", "title", "parent_slug"]);
  return {
    slug: text(fields.slug, SLUG, 60),
    title: text(fields.title, ONE_LINE, 100),
    parentSlug: fields.parent_slug.value === undefined ? "" : text(fields.parent_slug, SLUG, 60),
  };
}

function parseProduct(place: Place): ParsedProduct {
  const names = ["external_key", "title", "description", "category_slug", "attributes", "variants"] as const;
  const fields = object(place, names);
  const variants = list(fields.variants, parseVariant, { from: 1, to: 50 });
  const product = {
    externalKey: text(fields.external_key, EXTERNAL_KEY, 80),
    title: text(fields.title, ONE_LINE, 200),
    description: text(fields.description, MAYBE_LINES, 5_000),
    categorySlug: text(fields.category_slug, SLUG, 60),
    attributes: attributes(fields.attributes),
    variants: variants.map(({ variant }) => variant),
  };
  const stocked = variants.filter(({ stock }) => stock > 0);
  return { product, openingStock: stocked.map(({ variant: { sku }, stock }) => ({ sku, quantity: BigInt(stock) })) };
}

function parseVariant(place: Place): { readonly variant: Variant; readonly stock: number } {
  const names = ["sku", "title", "price", "weight_grams", "dimensions", "attributes", "stock"] as const;
  const fields = object(place, names);
  const variant = {
    sku: text(fields.sku, SKU, 48),
    title: text(fields.title, MAYBE_ONE_LINE, 200),
    price: parseMoney(fields.price),
    weightGrams: whole(fields.weight_grams, { from: 0, to: 1_000_000 }),
    dimensions: parseDimensions(fields.dimensions),
    attributes: attributes(fields.attributes),
  };
  return { variant, stock: whole(fields.stock, { from: 0, to: 1_000_000_000 }) };
}

function parseMoney(place: Place): Money {
  const fields = object(place, ["currency_code", "minor_units"]);
  return {
    currencyCode: text(fields.currency_code, CURRENCY, 3),
    minorUnits: BigInt(whole(fields.minor_units, { from: 0, to: 1_000_000_000_000 })),
  };
}

function parseDimensions(place: Place): Dimensions {
  const fields = object(place, ["length_mm", "width_mm", "height_mm"]);
  const range = { from: 0, to: 100_000 };
  const [lengthMm, widthMm, heightMm] = [fields.length_mm, fields.width_mm, fields.height_mm].map((side) =>
    whole(side, range),
  ) as [number, number, number]; // Three in, three out.
  if (lengthMm < widthMm || widthMm < heightMm) note(place, "must have its longest side first and its shortest last");
  return { lengthMm, widthMm, heightMm };
}

function attributes(place: Place): readonly Attribute[] {
  const found = list(place, parseAttribute, { from: 0, to: 50 });
  for (const name of repeated(found.map((attribute) => attribute.name))) note(place, `names ${quote(name)} twice`);
  return found;
}

function parseAttribute(place: Place): Attribute {
  const fields = object(place, ["name", "value"]);
  return { name: text(fields.name, ONE_LINE, 60), value: text(fields.value, ONE_LINE, 200) };
}

/** The rules that hold between rows: nothing twice, and a category before what names it. */
function checkReferences(
  categories: readonly Category[],
  products: readonly ParsedProduct[],
  problems: string[],
): void {
  const slugs = new Set<string>();
  for (const [index, { slug, parentSlug }] of categories.entries()) {
    const place = { path: `categories[${index}]`, problems };
    if (slugs.has(slug)) note(place, `has the slug ${quote(slug)} a second time`);
    if (parentSlug !== "" && !slugs.has(parentSlug)) note(place, `stands before its parent ${quote(parentSlug)}`);
    slugs.add(slug);
  }
  for (const [index, { product }] of products.entries()) {
    if (slugs.has(product.categorySlug)) continue;
    note({ path: `products[${index}]`, problems }, `names the unknown category ${quote(product.categorySlug)}`);
  }
  const whole = { path: "products", problems };
  const keys = products.map(({ product }) => product.externalKey);
  for (const key of repeated(keys)) note(whole, `has the external_key ${quote(key)} more than once`);
  const skus = products.flatMap(({ product }) => product.variants.map(({ sku }) => sku));
  for (const sku of repeated(skus)) note(whole, `has the SKU ${quote(sku)} more than once`);
}

/** The fields of an object, each with its place; notes what is no object and fields that nobody knows. */
function object<Name extends string>(place: Place, names: readonly Name[]): Readonly<Record<Name, Place>> {
  const { value, path, problems } = place;
  const known: readonly string[] = names;
  let fields: Readonly<Record<string, unknown>> = {};
  // An object that came from JSON has its own string keys and nothing else.
  if (typeof value === "object" && value !== null && !Array.isArray(value)) fields = value as typeof fields;
  else note(place, "must be an object");
  for (const name of Object.keys(fields))
    if (!known.includes(name)) note(place, `has the unknown field ${quote(name)}`);
  const prefix = path === "" ? "" : `${path}.`;
  const entries = names.map((name) => [name, { value: fields[name], path: prefix + name, problems }]);
  // One entry was made for every name, and no other.
  return Object.fromEntries(entries) as Readonly<Record<Name, Place>>;
}

function list<Item>(place: Place, parse: (item: Place) => Item, { from, to }: Range): readonly Item[] {
  const { value, path, problems } = place;
  if (!Array.isArray(value) || value.length < from || value.length > to) {
    note(place, `must be a list of ${from} to ${to} items`);
    return [];
  }
  return value.map((item: unknown, index) => parse({ value: item, path: `${path}[${index}]`, problems }));
}

function text(place: Place, pattern: RegExp, maxLength: number): string {
  const { value } = place;
  if (typeof value === "string" && value.length <= maxLength && pattern.test(value)) return value;
  note(place, `must be a text of at most ${maxLength} characters that matches ${pattern.source}, not ${quote(value)}`);
  return "";
}

function whole(place: Place, { from, to }: Range): number {
  const { value } = place;
  if (typeof value === "number" && Number.isInteger(value) && value >= from && value <= to) return value;
  note(place, `must be a whole number from ${from} to ${to}, not ${quote(value)}`);
  return 0;
}

function repeated(values: readonly string[]): ReadonlySet<string> {
  const seen = new Set<string>();
  return new Set(values.filter((value) => seen.size === seen.add(value).size));
}

function note({ path, problems }: Pick<Place, "path" | "problems">, problem: string): void {
  problems.push(`${path === "" ? "the file" : path} ${problem}`);
}

function quote(value: unknown): string {
  return (JSON.stringify(value) ?? "nothing").slice(0, 80);
}
