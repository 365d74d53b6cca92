import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import { readMeshConfig } from "#mesh/config.ts";
import { implement } from "#mesh/contract/contract.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { newId } from "#mesh/ids.ts";
import { createMesh } from "#mesh/mesh.ts";
import { migrate, openDatabase, startOnceSweep } from "#mesh/postgres/index.ts";
import { identityHandlers } from "./handlers.ts";
import { createPasswords } from "./passwords.ts";
import { startSessionSweep } from "./session-sweep.ts";
import { openSigner, publicKeys } from "./signing-keys.ts";

const mesh = createMesh("identity", readMeshConfig());
const { clock, log } = mesh;
const db = openDatabase({ url: mesh.config.databaseUrl, log, applicationName: "identity" });
await migrate(db, new URL("./migrations/", import.meta.url));

const passwords = await createPasswords(() =>
  meshFailure("OVERLOADED", "Too many people sign in at this moment.", { retryDelayMs: 1_000 }),
);
const signer = await openSigner(db, clock, newId);
const sweeps = [startSessionSweep({ db, clock, log }), startOnceSweep({ db, clock, log })];

await mesh.serve({
  services: [implement(IdentityService, identityHandlers({ db, clock, newId, passwords, signer }))],
  signingKeys: { keys: () => publicKeys(db, clock) },
  queues: [db],
  close: async () => {
    await Promise.all(sweeps.map((sweep) => sweep.close()));
    await db.close();
  },
});
