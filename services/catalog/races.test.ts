import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newId } from "#mesh/ids.ts";
import type { Transaction } from "#mesh/postgres/index.ts";
import { writeProducts } from "./changes.ts";
import type { Content } from "./domain.ts";
import { lockBranches, writeCategories } from "./store-categories.ts";
import { holdCategories, insertOrLockProducts } from "./store-write.ts";
import { categoryPart, inputOf, productPart, startTestCatalog, type TestCatalog } from "./testing/catalog.ts";
import { content, variant } from "./testing/content.ts";

let catalog: TestCatalog;

beforeAll(async () => {
  catalog = await startTestCatalog();
});
afterAll(async () => {
  // Writers wait for each other in one order. A deadlock would be retried, and show nowhere else.
  expect(catalog.retries()).toBe(0);
  await catalog.close();
});

const create = (given: Content) =>
  catalog.operator.createProduct({ requestId: newId("req"), product: inputOf(given) }, catalog.asOperator());

interface Open {
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

/** Does something in a transaction that stays open until it is told to end. */
async function openTransaction(work: (tx: Transaction) => Promise<void>): Promise<Open> {
  const written = gate();
  const release = gate();
  let failure: Error | undefined;
  const done = catalog.db.transaction(async (tx) => {
    await work(tx);
    written.open();
    await release.opened;
    if (failure !== undefined) throw failure;
  });
  await Promise.race([written.opened, done]);
  return {
    commit: () => {
      release.open();
      return done;
    },
    rollback: async () => {
      failure = new Error("rolled back");
      release.open();
      await expect(done).rejects.toBe(failure);
    },
  };
}

/** Adds a product, and does not commit yet. */
const openCreate = (given: Content) =>
  openTransaction(async (tx) => {
    const now = catalog.clock.now();
    const product = { id: newId("prd"), content: given };
    await insertOrLockProducts(tx, [product], now);
    await holdCategories(tx, [given.categorySlug]);
    await writeProducts(tx, { added: [product], changed: [] }, now);
  });

function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** Resolves when so many others wait for a lock in this database. */
async function untilWaiting(count: number): Promise<void> {
  const waiting = async () => {
    const rows = await catalog.db.query(
      "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    );
    return rows.length;
  };
  await expect.poll(waiting, { interval: 5, timeout: 10_000 }).toBe(count);
}

const search = async (query: string) => {
  const request = { query, categorySlug: "", pageSize: 0, pageToken: "" };
  const { products } = await catalog.anyone.searchProducts(request, catalog.shop.call());
  return products.map((product) => product.externalKey);
};

describe("a SKU", () => {
  test("goes to the one who took it first; the other waits, and is refused", async () => {
    const first = await openCreate(content("sku-1", { variants: [variant("SHARED"), variant("S-1")] }));
    const second = create(content("sku-2", { variants: [variant("S-2"), variant("SHARED")] }));
    const refused = expect(second).rejects.toMatchObject({ reason: "SKU_TAKEN", metadata: { sku: "SHARED" } });
    await untilWaiting(1);
    await first.commit();
    await refused;
    await create(content("sku-2", { variants: [variant("S-2")] }));
  });

  test("goes to one of many who want it at once", async () => {
    const wishes = Array.from({ length: 8 }, (_, at) => {
      const skus = [`M-${at}`, "M-X", "M-Y"];
      return content(`many-${at}`, { variants: (at % 2 ? skus : skus.toReversed()).map((sku) => variant(sku)) });
    });
    const results = await Promise.allSettled(wishes.map(create));
    expect(results.filter((result) => result.status === "fulfilled")).toHaveLength(1);
    for (const result of results) {
      if (result.status === "rejected") expect(result.reason).toMatchObject({ reason: "SKU_TAKEN" });
    }
    const rows = await catalog.db.query("select 1 from products where external_key like 'many-%'");
    expect(rows).toHaveLength(1);
  });

  test("is waited for in one order, whatever the order of the variants", async () => {
    const skus = (...names: readonly string[]) => names.map((name) => variant(name));
    const blocker = await openCreate(content("order-0", { variants: skus("O-2") }));
    const up = create(content("order-1", { variants: skus("O-1", "O-2", "O-3") }));
    await untilWaiting(1);
    const down = create(content("order-2", { variants: skus("O-3", "O-2", "O-1") }));
    const refused = expect(down).rejects.toMatchObject({ reason: "SKU_TAKEN" });
    await untilWaiting(2);
    await blocker.rollback();
    await up;
    await refused;
  });

  test("that is taken while an import waits for it costs the import that row alone", async () => {
    const first = await openCreate(content("quick", { variants: [variant("WANTED")] }));
    const rows = [content("slow-1"), content("slow-2", { variants: [variant("WANTED")] }), content("slow-3")];
    const report = catalog.importRows(rows.map(productPart));
    await untilWaiting(1);
    await first.commit();
    expect(await report).toMatchObject({
      createdCount: 2,
      failedCount: 1,
      errors: [{ row: 2, key: "slow-2", reason: "SKU_TAKEN" }],
    });
  });
});

test("an external key goes to the one who took it first", async () => {
  const first = await openCreate(content("unique", { variants: [variant("U-1")] }));
  const second = create(content("unique", { variants: [variant("U-2")] }));
  const refused = expect(second).rejects.toMatchObject({ reason: "EXTERNAL_KEY_TAKEN" });
  await untilWaiting(1);
  await first.commit();
  await refused;
});

test("an import that meets a product just being added updates it", async () => {
  const first = await openCreate(content("met", { title: "Added" }));
  const report = catalog.importRows([productPart(content("met", { title: "Imported" }))]);
  await untilWaiting(1);
  await first.commit();
  expect(await report).toMatchObject({ createdCount: 0, updatedCount: 1 });
  expect(await search("imported")).toEqual(["met"]);
});

test("imports lock products in one order, whatever the order of the rows", async () => {
  const keys = ["lock-1", "lock-2", "lock-3"];
  const rows = (title: string) => keys.map((key) => productPart(content(key, { title })));
  await catalog.importRows(rows("Zero"));
  const blocker = await openTransaction(async (tx) => {
    await tx.query("select 1 from products where external_key = 'lock-2' for update");
  });
  const up = catalog.importRows(rows("Up"));
  await untilWaiting(1);
  const down = catalog.importRows(rows("Down").toReversed());
  await untilWaiting(2);
  await blocker.commit();
  for (const report of await Promise.all([up, down])) expect(report).toMatchObject({ updatedCount: 3 });
});

describe("the categories", () => {
  test("one that is added below another that is just being moved is placed where that ends up", async () => {
    await catalog.importRows([categoryPart("home", "Home"), categoryPart("guest", "Guest")]);
    const move = await openTransaction(async (tx) => {
      await lockBranches(tx, ["guest", "home"]);
      await writeCategories(tx, [{ slug: "guest", title: "Guest", parentSlug: "home" }]);
    });
    const report = catalog.importRows([categoryPart("luggage", "Luggage", "guest")]);
    await untilWaiting(1);
    await move.commit();
    expect(await report).toMatchObject({ createdCount: 1, failedCount: 0 });
    const [luggage] = await catalog.db.query<{ path: readonly string[] }>(
      "select path from categories where slug = 'luggage'",
    );
    expect(luggage?.path).toEqual(["home", "guest", "luggage"]);
  });

  test("a product that is added while its category gets another title is found by the new one", async () => {
    await catalog.importRows([categoryPart("renamed", "Before")]);
    const product = await openCreate(content("moving", { categorySlug: "renamed" }));
    const rename = catalog.importRows([categoryPart("renamed", "Afterwards")]);
    await untilWaiting(1);
    await product.commit();
    await rename;
    expect(await search("afterwards")).toEqual(["moving"]);
    expect(await search("before")).toEqual([]);
  });

  test("two that are moved below each other do not make a cycle", async () => {
    await catalog.importRows([categoryPart("knot-a", "A"), categoryPart("knot-b", "B")]);
    const reports = await Promise.all([
      catalog.importRows([categoryPart("knot-a", "A", "knot-b")]),
      catalog.importRows([categoryPart("knot-b", "B", "knot-a")]),
    ]);
    expect(reports.map((report) => report.updatedCount).toSorted()).toEqual([0, 1]);
    expect(reports.flatMap((report) => report.errors)).toMatchObject([
      { reason: "INVALID_REQUEST", violations: [{ field: "parent_slug" }] },
    ]);
  });

  test("imports of categories and of products in them get on with each other", async () => {
    const parts = (title: string) => [
      ...["x", "y", "z"].map((slug) => categoryPart(`busy-${slug}`, `${title} ${slug}`)),
      ...["z", "y", "x"].flatMap((slug) =>
        Array.from({ length: 20 }, (_, at) =>
          productPart(content(`${slug}-${at}`, { title, categorySlug: `busy-${slug}` })),
        ),
      ),
    ];
    await catalog.importRows(parts("Zero"));
    const reports = await Promise.all(["One", "Two", "Three", "Four"].map((title) => catalog.importRows(parts(title))));
    for (const report of reports) expect(report).toMatchObject({ createdCount: 0, failedCount: 0 });
    const stale = await catalog.db.query(
      `select 1 from product_search s join categories c on c.slug = s.category_slug
       where s.search <> ts_filter(s.search, '{a,c,d}') || c.search`,
    );
    expect(stale).toEqual([]);
  });
});
