import type { ListCategoriesRequest, ListCategoriesResponse } from "#gen/shop/catalog/v1/catalog_service.ts";
import { decodePageToken, encodePageToken, invalidPageToken } from "#mesh/rpc/page-token.ts";
import type { Deps } from "../deps.ts";
import { categoryMessage } from "../messages.ts";
import * as store from "../store-categories.ts";
import { isText, pageOf } from "./pages.ts";

const DEFAULT_PAGE_SIZE = 100;
const FILTER = ["ListCategories"];

export const listCategories =
  ({ db }: Deps) =>
  async (request: ListCategoriesRequest): Promise<ListCategoriesResponse> => {
    const afterSlug = readPosition(decodePageToken(FILTER, request.pageToken));
    const limit = request.pageSize || DEFAULT_PAGE_SIZE;
    const { items, end } = pageOf(await store.listCategories(db, { afterSlug, limit: limit + 1 }), limit);
    return {
      categories: items.map(categoryMessage),
      nextPageToken: end === undefined ? "" : encodePageToken(FILTER, end.slug),
    };
  };

function readPosition(position: unknown): string {
  // No slug is empty, so all come after an empty one.
  if (position === undefined) return "";
  if (!isText(position)) throw invalidPageToken();
  return position;
}
