import { ConfigError, readMeshConfig, readSetting } from "#mesh/config.ts";
import { newId } from "#mesh/ids.ts";
import { createMesh } from "#mesh/mesh.ts";
import { migrate, openDatabase, sealingKey, startOnceSweep } from "#mesh/postgres/index.ts";
import { startShipping } from "./service.ts";

const courier = readSetting("SHOPMESH_COURIER", { default: "off" });
if (courier !== "simulated" && courier !== "off") throw new ConfigError("SHOPMESH_COURIER must be simulated or off");

const mesh = createMesh("shipping", readMeshConfig());
const { clock, log } = mesh;
const db = openDatabase({ url: mesh.config.databaseUrl, log, applicationName: "shipping" });
await migrate(db, new URL("./migrations/", import.meta.url));

const sweep = startOnceSweep({ db, clock, log });
const shipping = await startShipping({
  db,
  clock,
  newId,
  log,
  sealingKey: await sealingKey(db),
  currencyCode: readSetting("SHOPMESH_CURRENCY", { default: "EUR" }),
  courier,
});

await mesh.serve({
  services: shipping.implementations,
  queues: [db],
  close: async () => {
    await Promise.all([shipping.close(), sweep.close()]);
    await db.close();
  },
});
