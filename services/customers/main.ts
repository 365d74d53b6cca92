import { CustomerService } from "#gen/shop/customers/v1/customer_service.contract.ts";
import { readMeshConfig } from "#mesh/config.ts";
import { implement } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import { createMesh } from "#mesh/mesh.ts";
import { migrate, openDatabase, startOnceSweep } from "#mesh/postgres/index.ts";
import { customerHandlers } from "./handlers/index.ts";

const mesh = createMesh("customers", readMeshConfig());
const { clock, log } = mesh;
const db = openDatabase({ url: mesh.config.databaseUrl, log, applicationName: "customers" });
await migrate(db, new URL("./migrations/", import.meta.url));

const sweep = startOnceSweep({ db, clock, log });

await mesh.serve({
  services: [implement(CustomerService, customerHandlers({ db, clock, newId }))],
  queues: [db],
  close: async () => {
    await sweep.close();
    await db.close();
  },
});
