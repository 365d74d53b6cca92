import { CartService } from "#gen/shop/cart/v1/cart_service.contract.ts";
import { CatalogService } from "#gen/shop/catalog/v1/catalog_service.contract.ts";
import { readMeshConfig, readSetting } from "#mesh/config.ts";
import { implement } from "#mesh/contract/contract.ts";
import { createMesh } from "#mesh/mesh.ts";
import { migrate, openDatabase, startOnceSweep } from "#mesh/postgres/index.ts";
import { cartHandlers } from "./handlers.ts";

const mesh = createMesh("cart", readMeshConfig());
const db = openDatabase({
  url: mesh.config.databaseUrl,
  log: mesh.log,
  applicationName: "cart",
});
await migrate(db, new URL("./migrations/", import.meta.url));

const sweep = startOnceSweep({ db, clock: mesh.clock, log: mesh.log });

await mesh.serve({
  services: [
    implement(
      CartService,
      cartHandlers({
        db,
        catalog: mesh.client(CatalogService),
        clock: mesh.clock,
        verifyUser: mesh.verifyUser,
        currencyCode: readSetting("SHOPMESH_CURRENCY", { default: "EUR" }),
      }),
    ),
  ],
  queues: [db],
  close: async () => {
    await sweep.close();
    await db.close();
  },
});
