import type { SearchProductsRequest, SearchProductsResponse } from "#gen/shop/catalog/v1/catalog_service.ts";
import { epochMs } from "#mesh/clock.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { decodePageToken, encodePageToken, invalidPageToken } from "#mesh/rpc/page-token.ts";
import type { Deps } from "../deps.ts";
import { queryWords } from "../domain-search.ts";
import { productMessage } from "../messages.ts";
import { MAX_RANK, type SearchPosition, searchProducts as search } from "../store-search.ts";
import { categoryFilter, isText, pageOf, requireCategory } from "./pages.ts";

const DEFAULT_PAGE_SIZE = 20;

export const searchProducts =
  ({ db }: Deps) =>
  async (request: SearchProductsRequest, call: Call): Promise<SearchProductsResponse> => {
    const words = queryWords(request.query);
    const filter = ["SearchProducts", words, request.categorySlug];
    const categorySlug = categoryFilter(request.categorySlug);
    const after = readPosition(decodePageToken(filter, request.pageToken));
    const limit = request.pageSize || DEFAULT_PAGE_SIZE;
    const wanted = { words, categorySlug, after, limit: limit + 1 };
    // Anybody may ask for anything, and a search can be dear: the database gives up when the caller does.
    const statementTimeoutMs = call.deadline - epochMs();
    const found = words.length === 0 ? [] : await db.transaction((tx) => search(tx, wanted), { statementTimeoutMs });
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
  if (!isText(id)) throw invalidPageToken();
  return { rank, id };
}
