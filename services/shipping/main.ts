import { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import { readMeshConfig, readSetting } from "#mesh/config.ts";
import { implement } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import { createMesh } from "#mesh/mesh.ts";
import { migrate, openDatabase, sealingKey, startOnceSweep } from "#mesh/postgres/index.ts";
import { shippingHandlers } from "./handlers.ts";
import { followNetwork } from "./network.ts";
import { createRates } from "./rates.ts";

const mesh = createMesh("shipping", readMeshConfig());
const { clock, log } = mesh;
const db = openDatabase({ url: mesh.config.databaseUrl, log, applicationName: "shipping" });
await migrate(db, new URL("./migrations/", import.meta.url));

const network = await followNetwork({ db, log });
const sweep = startOnceSweep({ db, clock, log });
const rates = createRates({ key: await sealingKey(db), clock });
const currencyCode = readSetting("SHOPMESH_CURRENCY", { default: "EUR" });

await mesh.serve({
  services: [
    implement(
      ShippingService,
      shippingHandlers({
        db,
        clock,
        newId,
        network,
        sealRate: rates.seal,
        openRate: rates.open,
        currencyCode,
        log,
      }),
    ),
  ],
  queues: [db],
  close: async () => {
    await Promise.all([network.close(), sweep.close()]);
    await db.close();
  },
});
