/** A category as it is written: its place in the tree is told by the one above it. */
export interface Category {
  readonly slug: string;
  readonly title: string;
  /** Undefined at the top. */
  readonly parentSlug: string | undefined;
}

/** How many levels the tree may have. Each category keeps the path from the top; a shop has three or four. */
export const MAX_CATEGORY_DEPTH = 20;

export type CategoryError =
  | { readonly kind: "parent_not_found"; readonly categorySlug: string }
  | { readonly kind: "cycle" }
  | { readonly kind: "too_deep" };

export type CategoryOutcome =
  | { readonly kind: "created" }
  | { readonly kind: "updated" }
  | { readonly kind: "unchanged" }
  | { readonly kind: "refused"; readonly error: CategoryError };

export interface CategoryPlan {
  /** What becomes of each row, in their order. */
  readonly outcomes: readonly CategoryOutcome[];
  /** What must be written: the last word on each category that is new or changed. */
  readonly write: readonly Category[];
}

/**
 * What becomes of rows that are written one after the other. `known` holds the categories that the rows name, as
 * themselves or as parents, with all those above and below them; others do not matter.
 */
export function planCategories(known: readonly Category[], rows: readonly Category[]): CategoryPlan {
  const tree = new Map(known.map((category) => [category.slug, category]));
  const write = new Map<string, Category>();
  const outcomes = rows.map((row): CategoryOutcome => {
    const before = tree.get(row.slug);
    if (before !== undefined && before.title === row.title && before.parentSlug === row.parentSlug) {
      return { kind: "unchanged" };
    }
    const error = checkPlace(tree, row);
    if (error !== undefined) return { kind: "refused", error };
    tree.set(row.slug, row);
    write.set(row.slug, row);
    return { kind: before === undefined ? "created" : "updated" };
  });
  return { outcomes, write: [...write.values()] };
}

function checkPlace(tree: ReadonlyMap<string, Category>, { slug, parentSlug }: Category): CategoryError | undefined {
  let levelsAbove = 0;
  for (let above = parentSlug; above !== undefined; above = tree.get(above)?.parentSlug) {
    if (above === slug) return { kind: "cycle" };
    if (!tree.has(above)) return { kind: "parent_not_found", categorySlug: above };
    levelsAbove += 1;
  }
  return levelsAbove + levelsFrom(tree, slug) > MAX_CATEGORY_DEPTH ? { kind: "too_deep" } : undefined;
}

/** How many levels a category and those below it have. Ends, as the tree has no cycle and a bounded depth. */
function levelsFrom(tree: ReadonlyMap<string, Category>, slug: string): number {
  let levels = 0;
  for (let level = new Set([slug]); level.size > 0; levels += 1) {
    const below = [...tree.values()].filter(({ parentSlug }) => parentSlug !== undefined && level.has(parentSlug));
    level = new Set(below.map((category) => category.slug));
  }
  return levels;
}
