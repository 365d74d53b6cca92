import { CatalogService } from "#gen/shop/catalog/v1/catalog_service.contract.ts";
import { readMeshConfig, readSetting } from "#mesh/config.ts";
import { implement } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import { createMesh } from "#mesh/mesh.ts";
import { migrate, openDatabase, startOnceSweep } from "#mesh/postgres/index.ts";
import { readDescriptors } from "#mesh/rpc/descriptors.ts";
import { createRequestValidator } from "#mesh/rpc/validation.ts";
import { catalogHandlers } from "./handlers.ts";
import { startReindex } from "./reindex.ts";

const mesh = createMesh("catalog", readMeshConfig());
const { log, clock } = mesh;
const currencyCode = readSetting("SHOPMESH_CURRENCY", { default: "EUR" });
const db = openDatabase({ url: mesh.config.databaseUrl, log, applicationName: "catalog" });
await migrate(db, new URL("./migrations/", import.meta.url));

const validator = createRequestValidator(readDescriptors);
const background = [startReindex({ db, log }), startOnceSweep({ db, clock, log })];

await mesh.serve({
  services: [
    implement(
      CatalogService,
      catalogHandlers({ db, clock, newId, currencyCode, validate: (type, bytes) => validator(type)(bytes) }),
    ),
  ],
  queues: [db],
  close: async () => {
    await Promise.all(background.map((work) => work.close()));
    await db.close();
  },
});
