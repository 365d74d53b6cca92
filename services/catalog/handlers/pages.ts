import type { Deps } from "../deps.ts";
import { categoryNotFound } from "../errors.ts";
import { categoryExists } from "../store-categories.ts";

/** One page of `limit` out of what a store found when it was asked for one more, and the last item if more follow. */
export function pageOf<T>(found: readonly T[], limit: number): { readonly items: readonly T[]; readonly end?: T } {
  return found.length > limit ? { items: found.slice(0, limit), end: found[limit - 1] } : { items: found };
}

/** The category that a request names; undefined when it names none. */
export function categoryFilter(slug: string): string | undefined {
  return slug === "" ? undefined : slug;
}

/** Throws CATEGORY_NOT_FOUND when the category of a request does not exist; to be asked when nothing was found in it. */
export async function requireCategory(db: Deps["db"], slug: string | undefined): Promise<void> {
  if (slug !== undefined && !(await categoryExists(db, slug))) throw categoryNotFound(slug);
}

/** Whether a part of a page token is text that a store takes: one that was made up may hold what no request may. */
export function isText(part: unknown): part is string {
  return typeof part === "string" && !part.includes("\u0000");
}
