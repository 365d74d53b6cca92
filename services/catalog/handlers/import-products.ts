import type { ImportProductsRequest, ImportProductsResponse } from "#gen/shop/catalog/v1/catalog_service.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Deps } from "../deps.ts";
import { importCategories } from "../import/categories.ts";
import { importProducts as importProductRows } from "../import/products.ts";
import { createReport } from "../import/report.ts";
import { readBatches } from "../import/rows.ts";
import { reindexCategories } from "../reindex.ts";

/** Takes one batch at a time and asks for no more rows until it is written, so the sender goes no faster than that. */
export const importProducts =
  (deps: Deps) =>
  async (requests: AsyncIterable<ImportProductsRequest>, call: Call): Promise<ImportProductsResponse> => {
    const report = createReport();
    for await (const batch of readBatches(requests)) {
      call.signal.throwIfAborted();
      if (batch.kind === "product") {
        await importProductRows(deps, batch.rows, { report, log: call.log });
      } else {
        await importCategories(deps, batch.rows, { report, log: call.log });
        await reindexCategories(deps.db, call.signal);
      }
    }
    const response = report.response();
    const { createdCount, updatedCount, unchangedCount, failedCount } = response;
    call.log.info({ createdCount, updatedCount, unchangedCount, failedCount }, "catalogue imported");
    return response;
  };
