import { randomInt } from "node:crypto";
import { readMeshConfig, readSetting } from "#mesh/config.ts";
import { newId } from "#mesh/ids.ts";
import { createMesh } from "#mesh/mesh.ts";
import { migrate, openDatabase, sealingKey, startOnceSweep } from "#mesh/postgres/index.ts";
import { startOrders } from "./service.ts";
import { createShippingOptions } from "./shipping-options.ts";

const mesh = createMesh("orders", readMeshConfig());
const db = openDatabase({ url: mesh.config.databaseUrl, log: mesh.log, applicationName: "orders" });
await migrate(db, new URL("./migrations/", import.meta.url));

const sweep = startOnceSweep({ db, clock: mesh.clock, log: mesh.log });
const orders = startOrders({
  mesh,
  db,
  options: createShippingOptions(await sealingKey(db)),
  newId,
  random: () => randomInt(2 ** 32) / 2 ** 32,
  currencyCode: readSetting("SHOPMESH_CURRENCY", { default: "EUR" }),
});

await mesh.serve({
  services: orders.implementations,
  queues: [db],
  close: async () => {
    await Promise.all([orders.close(), sweep.close()]);
    await db.close();
  },
});
