import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { readMeshConfig, readSetting } from "#mesh/config.ts";
import { implement } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import { createMesh } from "#mesh/mesh.ts";
import { migrate, openDatabase, startOnceSweep } from "#mesh/postgres/index.ts";
import type { Deps } from "./deps.ts";
import { chooseGateway } from "./gateways/choose-gateway.ts";
import { paymentHandlers } from "./handlers.ts";
import { startReconciler } from "./reconciler.ts";
import { startSettler } from "./settler.ts";
import { startWebhookSweep } from "./webhook-sweep.ts";

const mesh = createMesh("payments", readMeshConfig());
const { clock, log } = mesh;
const currencyCode = readSetting("SHOPMESH_CURRENCY", { default: "EUR" });
const gateway = await chooseGateway({ clock, currencyCode });
const db = openDatabase({ url: mesh.config.databaseUrl, log, applicationName: "payments" });
await migrate(db, new URL("./migrations/", import.meta.url));

const deps: Deps = { db, clock, newId, gateway, log, currencyCode };
const background = [startSettler(deps), startReconciler(deps), startWebhookSweep(deps), startOnceSweep(deps)];

await mesh.serve({
  services: [implement(PaymentService, paymentHandlers(deps))],
  queues: [db],
  close: async () => {
    await Promise.all(background.map((work) => work.close()));
    await db.close();
  },
});
