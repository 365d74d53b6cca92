import type { SearchProductsRequest, SearchProductsResponse } from "#gen/shop/catalog/v1/catalog_service.ts";
import { decodePageToken, encodePageToken, invalidPageToken } from "#mesh/rpc/page-token.ts";
import type { Deps } from "../deps.ts";
import { isStorable } from "../domain.ts";
import { queryWords } from "../domain-search.ts";
import { productMessage } from "../messages.ts";
import { MAX_RANK, type SearchPosition, searchProducts as search } from "../store-search.ts";
import { categoryFilter, pageOf, requireCategory } from "./pages.ts";

const DEFAULT_PAGE_SIZE = 20;

export const searchProducts =
  ({ db }: Deps) =>
  async (request: SearchProductsRequest): Promise<SearchProductsResponse> => {
    const words = queryWords(request.query);
    const filter = ["SearchProducts", words, request.categorySlug];
    const categorySlug = categoryFilter(request.categorySlug);
    const after = readPosition(decodePageToken(filter, request.pageToken));
    const limit = request.pageSize || DEFAULT_PAGE_SIZE;
    const found = words.length === 0 ? [] : await search(db, { words, categorySlug, after, limit: limit + 1 });
    if (found.length === 0) await requireCategory(db, categorySlug);
    const { items, end } = pageOf(found, limit);
    return {
      products: items.map((match) => productMessage(match.product)),
      nextPageToken: end === undefined ? "" : encodePageToken(filter, [end.rank, end.product.id]),
    };
  };

function readPosition(position: unknown): SearchPosition | undefined {
  if (position === undefined) return undefined;
  if (!Array.isArray(position)) throw invalidPageToken();
  const [rank, id]: readonly unknown[] = position;
  if (typeof rank !== "number" || !Number.isInteger(rank) || rank < 0 || rank > MAX_RANK) throw invalidPageToken();
  if (typeof id !== "string" || !isStorable(id)) throw invalidPageToken();
  return { rank, id };
}
