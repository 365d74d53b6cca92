import { describe, expect, test } from "vitest";
import { newId } from "#mesh/ids.ts";
import { decodeIdToken, decodePageToken, encodePageToken, pageById } from "./page-token.ts";

const invalid = expect.objectContaining({ code: "INVALID_ARGUMENT", reason: "INVALID_PAGE_TOKEN" });

describe("a page token", () => {
  test("leads back to its position, under the filter it was made for", () => {
    const token = encodePageToken({ sku: "A" }, ["x", 7]);
    expect(decodePageToken({ sku: "A" }, token)).toEqual(["x", 7]);
    expect(() => decodePageToken({ sku: "B" }, token)).toThrow(invalid);
    expect(decodePageToken({ sku: "A" }, "")).toBeUndefined();
  });

  test.each(["nonsense", "AAAA", "%%%", "A".repeat(1_000)])("that was made up is refused: %s", (token) => {
    expect(() => decodePageToken({}, token)).toThrow(invalid);
  });
});

describe("a list that goes by ids", () => {
  const rows = Array.from({ length: 4 }, () => ({ id: newId("row") }));

  test("has a token only where more follow, and it is the last id of the page", () => {
    const { items, nextPageToken } = pageById(rows, { limit: 3, filter: "f" });
    expect(items).toEqual(rows.slice(0, 3));
    expect(decodeIdToken("f", nextPageToken, "row")).toBe(rows[2]?.id);
    expect(pageById(rows, { limit: 4, filter: "f" }).nextPageToken).toBe("");
    expect(pageById([], { limit: 4, filter: "f" })).toEqual({ items: [], nextPageToken: "" });
  });

  test.each([["\0"], ["ord_01"], [7], [null], [{}]])("takes no position that is no such id: %j", (position) => {
    expect(() => decodeIdToken("f", encodePageToken("f", position), "row")).toThrow(invalid);
  });
});
