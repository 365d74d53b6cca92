import { NotificationService } from "#gen/shop/notifications/v1/notification_service.contract.ts";
import { readMeshConfig } from "#mesh/config.ts";
import { implement } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import { createMesh } from "#mesh/mesh.ts";
import { migrate, openDatabase, startOnceSweep } from "#mesh/postgres/index.ts";
import { random } from "#mesh/random.ts";
import { notificationHandlers } from "./handlers.ts";
import { connectMailServer } from "./mail-server.ts";
import { startSender } from "./sender.ts";
import { readMailSettings } from "./settings.ts";

const mesh = createMesh("notifications", readMeshConfig());
const { clock, log } = mesh;
const settings = readMailSettings();
const db = openDatabase({ url: mesh.config.databaseUrl, log, applicationName: "notifications" });
await migrate(db, new URL("./migrations/", import.meta.url));

const { smtp, from } = settings;
const sender = startSender({ db, server: connectMailServer(smtp, from), shop: from.name, random, log });
const sweep = startOnceSweep({ db, clock, log });

await mesh.serve({
  services: [implement(NotificationService, notificationHandlers({ db, clock, newId, sender, settings }))],
  queues: [db],
  close: async () => {
    await Promise.all([sender.close(), sweep.close()]);
    await db.close();
  },
});
