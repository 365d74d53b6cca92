import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import { readMeshConfig } from "#mesh/config.ts";
import { implement } from "#mesh/contract/contract.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { newId } from "#mesh/ids.ts";
import { createMesh } from "#mesh/mesh.ts";
import { migrate, openDatabase, startOnceSweep } from "#mesh/postgres/index.ts";
import { startExpiry } from "./expiry.ts";
import { inventoryHandlers } from "./handlers.ts";
import { startStockWatch } from "./stock-watch.ts";

const mesh = createMesh("inventory", readMeshConfig());
const { log, clock } = mesh;
const db = openDatabase({
  url: mesh.config.databaseUrl,
  log,
  applicationName: "inventory",
});
await migrate(db, new URL("./migrations/", import.meta.url));

const watch = startStockWatch({
  db,
  log,
  tooMany: () =>
    meshFailure("OVERLOADED", "Too many streams watch the stock here.", {
      retryDelayMs: 5_000,
    }),
});
const sweep = startOnceSweep({ db, clock, log });
const expiry = startExpiry({ db, clock, newId, watch, log });

await mesh.serve({
  services: [implement(InventoryService, inventoryHandlers({ db, clock, newId, watch, log }))],
  queues: [db],
  close: async () => {
    await Promise.all([expiry.close(), watch.close(), sweep.close()]);
    await db.close();
  },
});
