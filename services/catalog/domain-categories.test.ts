import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Category, MAX_CATEGORY_DEPTH, planCategories } from "./domain-categories.ts";

const category = (slug: string, parentSlug?: string, title = slug): Category => ({ slug, title, parentSlug });

describe("a row", () => {
  const known = [category("drives"), category("servo", "drives"), category("small", "servo")];

  test("adds a category, which later rows may name", () => {
    const rows = [category("motors"), category("brushless", "motors")];
    expect(planCategories(known, rows)).toEqual({
      outcomes: [{ kind: "created" }, { kind: "created" }],
      write: rows,
    });
  });

  test("changes one, or leaves it as it is", () => {
    const rows = [category("servo", "drives", "Servo drives"), category("drives")];
    expect(planCategories(known, rows)).toEqual({
      outcomes: [{ kind: "updated" }, { kind: "unchanged" }],
      write: [rows[0]],
    });
  });

  test("has the last word over an earlier one", () => {
    const rows = [category("new"), category("new", "drives"), category("new", "drives")];
    expect(planCategories(known, rows)).toEqual({
      outcomes: [{ kind: "created" }, { kind: "updated" }, { kind: "unchanged" }],
      write: [rows[1]],
    });
  });

  test("must name a parent that is there by then", () => {
    const rows = [category("a", "b"), category("b"), category("a", "b")];
    expect(planCategories(known, rows).outcomes).toEqual([
      { kind: "refused", error: { kind: "parent_not_found", categorySlug: "b" } },
      { kind: "created" },
      { kind: "created" },
    ]);
  });

  test.each([
    ["itself", category("servo", "servo")],
    ["one below it", category("drives", "small")],
    ["itself, though new", category("fresh", "fresh")],
  ])("may not stand below %s", (_, row) => {
    expect(planCategories(known, [row])).toEqual({
      outcomes: [{ kind: "refused", error: { kind: "cycle" } }],
      write: [],
    });
  });

  test("may not make the tree too deep, with all that hangs on it", () => {
    const chain = Array.from({ length: MAX_CATEGORY_DEPTH }, (_, at) =>
      category(`l${at}`, at === 0 ? undefined : `l${at - 1}`),
    );
    const deepest = `l${MAX_CATEGORY_DEPTH - 1}`;
    const refused = { kind: "refused", error: { kind: "too_deep" } };
    expect(planCategories(chain, [category("x", deepest)]).outcomes).toEqual([refused]);
    expect(planCategories([...chain, category("top")], [category("l0", "top")]).outcomes).toEqual([refused]);
    expect(planCategories([], chain).outcomes.every(({ kind }) => kind === "created")).toBe(true);
  });
});

test("whatever the rows, what is written is a tree", () => {
  const slug = fc.constantFrom("a", "b", "c", "d", "e");
  const row = fc.record({ slug, title: fc.constantFrom("x", "y"), parentSlug: fc.option(slug, { nil: undefined }) });
  fc.assert(
    fc.property(fc.array(row, { maxLength: 30 }), fc.array(row, { maxLength: 30 }), (first, second) => {
      const tree = new Map<string, Category>();
      for (const rows of [first, second]) {
        const { outcomes, write } = planCategories([...tree.values()], rows);
        expect(outcomes).toHaveLength(rows.length);
        for (const written of write) tree.set(written.slug, written);
      }
      for (const start of tree.values()) {
        const path = new Set<string>();
        for (
          let at: Category | undefined = start;
          at !== undefined;
          at = at.parentSlug === undefined ? undefined : tree.get(at.parentSlug)
        ) {
          expect(path.has(at.slug)).toBe(false);
          path.add(at.slug);
          expect(at.parentSlug === undefined || tree.has(at.parentSlug)).toBe(true);
        }
      }
    }),
  );
});
