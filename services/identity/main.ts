import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import { readMeshConfig } from "#mesh/config.ts";
import { implement } from "#mesh/contract/contract.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { newId } from "#mesh/ids.ts";
import { createMesh } from "#mesh/mesh.ts";
import { migrate, openDatabase, sealingKey, startOnceSweep } from "#mesh/postgres/index.ts";
import { identityHandlers } from "./handlers.ts";
import { startKeyRotation } from "./key-rotation.ts";
import { createPasswords } from "./passwords.ts";
import { createSecrets } from "./secrets.ts";
import { openSigner, publicKeys } from "./signing-keys.ts";
import { startSweeps } from "./sweep.ts";

const mesh = createMesh("identity", readMeshConfig());
const { clock, log } = mesh;
const db = openDatabase({ url: mesh.config.databaseUrl, log, applicationName: "identity" });
await migrate(db, new URL("./migrations/", import.meta.url));

const passwords = await createPasswords(() =>
  meshFailure("OVERLOADED", "Too many people sign in at this moment.", { retryDelayMs: 1_000 }),
);
const signer = await openSigner(db, clock, newId);
const deps = { db, clock, newId, passwords, signer, secrets: createSecrets(await sealingKey(db)) };
const background = [
  ...startSweeps({ db, clock, log }),
  startOnceSweep({ db, clock, log }),
  startKeyRotation({ ...deps, log }),
];

await mesh.serve({
  services: [implement(IdentityService, identityHandlers(deps))],
  signingKeys: { keys: () => publicKeys(db, clock) },
  queues: [db],
  close: async () => {
    await Promise.all(background.map((work) => work.close()));
    await db.close();
  },
});
