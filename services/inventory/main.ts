import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import { readMeshConfig } from "#mesh/config.ts";
import { implement } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import { createMesh } from "#mesh/mesh.ts";
import { migrate, openDatabase, startOnceSweep } from "#mesh/postgres/index.ts";
import { startStockChanges } from "./changes.ts";
import { startExpiry } from "./expiry.ts";
import { inventoryHandlers } from "./handlers.ts";

const mesh = createMesh("inventory", readMeshConfig());
const { log, clock } = mesh;
const db = openDatabase({
  url: mesh.config.databaseUrl,
  log,
  applicationName: "inventory",
});
await migrate(db, new URL("./migrations/", import.meta.url));

const changes = startStockChanges({ db, log });
const sweep = startOnceSweep({ db, clock, log });
const expiry = startExpiry({ db, clock, newId, changes, log });

await mesh.serve({
  services: [implement(InventoryService, inventoryHandlers({ db, clock, newId, changes, log }))],
  queues: [db],
  close: async () => {
    await Promise.all([expiry.close(), changes.close(), sweep.close()]);
    await db.close();
  },
});
