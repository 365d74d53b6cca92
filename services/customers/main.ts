import { readMeshConfig } from "#mesh/config.ts";
import { newId } from "#mesh/ids.ts";
import { createMesh } from "#mesh/mesh.ts";
import { migrate, openDatabase, startOnceSweep } from "#mesh/postgres/index.ts";
import { random } from "#mesh/random.ts";
import { startCustomers } from "./service.ts";

const mesh = createMesh("customers", readMeshConfig());
const { clock, log } = mesh;
const db = openDatabase({ url: mesh.config.databaseUrl, log, applicationName: "customers" });
await migrate(db, new URL("./migrations/", import.meta.url));

const sweep = startOnceSweep({ db, clock, log });
const customers = startCustomers({ mesh, db, newId, random });

await mesh.serve({
  services: customers.implementations,
  queues: [db],
  close: async () => {
    await Promise.all([customers.close(), sweep.close()]);
    await db.close();
  },
});
