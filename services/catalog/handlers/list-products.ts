import type { ListProductsRequest, ListProductsResponse } from "#gen/shop/catalog/v1/catalog_service.ts";
import { decodePageToken, encodePageToken, invalidPageToken } from "#mesh/rpc/page-token.ts";
import type { Deps } from "../deps.ts";
import type { Product } from "../domain.ts";
import { productMessage } from "../messages.ts";
import * as store from "../store.ts";
import { categoryFilter, isText, pageOf, requireCategory } from "./pages.ts";

const DEFAULT_PAGE_SIZE = 20;
/**
 * A longer title is left out of the token, which would outgrow what the contract takes back; the product is asked for
 * its title again then. With the title in the token, a page goes on where it ended though that title has changed.
 */
const MAX_TOKEN_TITLE_BYTES = 600;

export const listProducts =
  ({ db }: Deps) =>
  async (request: ListProductsRequest): Promise<ListProductsResponse> => {
    const filter = ["ListProducts", request.categorySlug];
    const categorySlug = categoryFilter(request.categorySlug);
    const after = readPosition(decodePageToken(filter, request.pageToken));
    const limit = request.pageSize || DEFAULT_PAGE_SIZE;
    const found = await store.listProducts(db, { categorySlug, after, limit: limit + 1 });
    if (found.length === 0) await requireCategory(db, categorySlug);
    const { items, end } = pageOf(found, limit);
    return {
      products: items.map(productMessage),
      nextPageToken: end === undefined ? "" : encodePageToken(filter, positionOf(end)),
    };
  };

function positionOf({ id, title }: Product): readonly string[] {
  return Buffer.byteLength(JSON.stringify(title)) > MAX_TOKEN_TITLE_BYTES ? [id] : [id, title];
}

function readPosition(position: unknown): store.ListPosition | undefined {
  if (position === undefined) return undefined;
  if (!Array.isArray(position) || !position.every(isText)) throw invalidPageToken();
  const [id, title] = position;
  if (id === undefined) throw invalidPageToken();
  return { id, title };
}
