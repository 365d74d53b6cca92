import { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import { readMeshConfig } from "#mesh/config.ts";
import { implement } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import { createMesh } from "#mesh/mesh.ts";
import { migrate, openDatabase, startOnceSweep } from "#mesh/postgres/index.ts";
import { shippingHandlers } from "./handlers.ts";
import { followNetwork } from "./network.ts";

const mesh = createMesh("shipping", readMeshConfig());
const { clock, log } = mesh;
const db = openDatabase({ url: mesh.config.databaseUrl, log, applicationName: "shipping" });
await migrate(db, new URL("./migrations/", import.meta.url));

const network = await followNetwork({ db, log });
const sweep = startOnceSweep({ db, clock, log });
// Until rates can be quoted, whatever is named is taken for one.
const openRate = () => ({ speed: "STANDARD", maxDays: 5 }) as const;

await mesh.serve({
  services: [implement(ShippingService, shippingHandlers({ db, clock, newId, network, openRate, log }))],
  queues: [db],
  close: async () => {
    await Promise.all([network.close(), sweep.close()]);
    await db.close();
  },
});
