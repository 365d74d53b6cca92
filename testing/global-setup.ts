import { randomBytes } from "node:crypto";
import type { TestProject } from "vitest/node";
import { configuredPostgresUrl } from "../cli/postgres/configured.ts";
import { startEmbeddedPostgres } from "../cli/postgres/embedded.ts";
import { removeFolder, removeLeftFolders, temporaryFolder } from "./folders.ts";
import { dropTestDatabases } from "./postgres-server.ts";

/**
 * Runs once, before the first test file: one PostgreSQL for the whole run, in a temporary folder, or the one that
 * SHOPMESH_POSTGRES_URL names. What it returns takes everything away again after the last file.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const configured = configuredPostgresUrl();
  const server = configured === undefined ? await startThrowAway() : { adminUrl: configured, stop: async () => {} };
  const prefix = `shopmesh_test_${randomBytes(4).toString("hex")}`;
  project.provide("testServer", { adminUrl: server.adminUrl, prefix });
  return async () => {
    // A server of our own goes with all that is in it.
    if (configured !== undefined) await dropTestDatabases({ adminUrl: configured, prefix });
    await server.stop();
  };
}

async function startThrowAway(): Promise<{ readonly adminUrl: string; stop(): Promise<void> }> {
  // The servers of killed runs have ended by themselves.
  await removeLeftFolders();
  const dataDir = await temporaryFolder();
  const remove = () => removeFolder(dataDir);
  const lines: string[] = [];
  try {
    const server = await startEmbeddedPostgres({
      dataDir,
      log: (line) => lines.push(line),
      unsafeFastForTests: true,
      orphanGraceSeconds: 0,
    });
    return { adminUrl: server.adminUrl, stop: () => server.stop().then(remove) };
  } catch (error) {
    await remove();
    throw new Error(`No PostgreSQL for the tests:\n${lines.join("\n")}`, { cause: error });
  }
}
