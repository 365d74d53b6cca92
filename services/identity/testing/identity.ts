import { randomUUID } from "node:crypto";
import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import type { SignInResponse } from "#gen/shop/identity/v1/identity_service.ts";
import { implement } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import { sealingKey } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { type FakeClock, fakeClock } from "#testing/clock.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import type { Deps } from "../deps.ts";
import { identityHandlers } from "../handlers.ts";
import { createPasswords, type Passwords } from "../passwords.ts";
import { createSecrets } from "../secrets.ts";
import { openSigner } from "../signing-keys.ts";

export const PASSWORD = "correct horse battery";

/** Identity on a real database. */
export interface IdentityShop {
  readonly database: TestDatabase;
  readonly clock: FakeClock;
  readonly mesh: TestMesh;
  readonly deps: Deps;
  close(): Promise<void>;
}

/** Starts it; close it when the test ends. */
export async function startIdentity(given: { readonly passwords?: Passwords } = {}): Promise<IdentityShop> {
  const clock = fakeClock();
  const database = await testDatabase(new URL("../migrations/", import.meta.url));
  const { db } = database;
  const passwords = given.passwords ?? (await createPasswords(() => new Error("overloaded")));
  const signer = await openSigner(db, clock, newId);
  const secrets = createSecrets(await sealingKey(db));
  const deps = { db, clock, newId, passwords, signer, secrets };
  const mesh = await startTestMesh({ identity: () => [implement(IdentityService, identityHandlers(deps))] });
  return {
    ...{ database, clock, mesh, deps },
    close: async () => {
      await mesh.close();
      await database.close();
    },
  };
}

/** How somebody signs in. */
export interface SignInOptions {
  readonly requestId?: string;
  readonly deviceToken?: string;
  /** From which address. */
  readonly from?: string;
}

/** What people ask of identity, in short. */
export function peopleOf(shop: () => IdentityShop) {
  const identity = () => shop().mesh.mesh("gateway").client(IdentityService);
  const call = () => shop().mesh.call();
  return {
    identity,
    signUp: (email: string, requestId: string = randomUUID(), password = PASSWORD) =>
      identity().try.signUp({ requestId, email, password }, call()),
    signIn: (
      email: string,
      password = PASSWORD,
      { requestId = randomUUID(), deviceToken = "", from = "" }: SignInOptions = {},
    ) => identity().try.signIn({ requestId, email, password, deviceToken }, shop().mesh.call({ clientAddress: from })),
    refresh: (refreshToken: string, requestId: string = randomUUID()) =>
      identity().try.refreshSession({ requestId, refreshToken }, call()),
    /** A call of a session's holder: this mesh does not trust the session's own token, so it gets an equal one. */
    as: ({ userId, session }: { userId: string; session: { id: string } }): Call =>
      shop().mesh.call({ user: { id: userId, kind: "customer", sessionId: session.id } }),
  };
}

/** What an opened session consists of. */
export function opened(
  result:
    | { ok: true; value: Omit<SignInResponse, "deviceToken"> & Partial<Pick<SignInResponse, "deviceToken">> }
    | { ok: false; error: Error },
) {
  if (!result.ok) throw result.error;
  const { userId, session, tokens, deviceToken = "" } = result.value;
  if (session === undefined || tokens === undefined) throw new Error("an answer without session or tokens");
  return { userId, session, tokens, deviceToken };
}

let people = 0;
/** An address that nobody has yet. */
export function someone(): string {
  people += 1;
  return `person${people}@example.org`;
}
