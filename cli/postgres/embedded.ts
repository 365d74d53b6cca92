import { once } from "node:events";
import { createServer } from "node:net";
import { openSession } from "#mesh/postgres/database.ts";
import { DEFAULT_MAX_CONNECTIONS } from "#mesh/postgres/limits.ts";
import { type Binaries, findBinaries } from "./binaries.ts";
import { type DataFolder, openCluster, openDataFolder, unusable } from "./cluster.ts";
import { stopLeftover } from "./leftover.ts";
import { claimFolder, type Release } from "./owner.ts";
import { type ServerProcess, ServerStartError, startServerProcess } from "./server-process.ts";
import { blockingFolder, type ServerUser, serverUser } from "./server-user.ts";

export interface EmbeddedPostgresOptions {
  /** The folder of this server alone; made if it is not there. */
  readonly dataDir: string;
  /** Gets what the server logs, line by line: its start and end, and what is wrong with it, never a statement. */
  readonly log: (line: string) => void;
  /** Gives up on surviving a crash of the machine, for clusters that are thrown away. */
  readonly unsafeFastForTests?: boolean;
  /** How long the server goes on when this process was killed, so that services can finish. */
  readonly orphanGraceSeconds?: number;
}

export interface EmbeddedPostgres {
  /** The superuser's URL, on 127.0.0.1. Holds a password. */
  readonly adminUrl: string;
  readonly port: number;
  /** The process that leads all others of the server. */
  readonly pid: number;
  /** Resolves when the server has ended, whether it was stopped or failed. */
  readonly exited: Promise<void>;
  /** Stops the server in good order. May be called more than once. */
  stop(): Promise<void>;
}

/** Every service three times and one more while it is updated, with room to spare. */
export const MAX_PROGRAMS = 36;
/** For whoever looks in, and the server's own reserve. */
const OTHER_CONNECTIONS = 30;
const MAX_CONNECTIONS = MAX_PROGRAMS * DEFAULT_MAX_CONNECTIONS + OTHER_CONNECTIONS;
const ORPHAN_GRACE_SECONDS = 15;
const MAX_PORT_TRIES = 5;
/** How long processes of a server that was killed may take to notice. */
const FORMER_SERVER_TIMEOUT_MS = 10_000;
const FORMER_SERVER_POLL_MS = 100;

/**
 * Runs a real PostgreSQL in `dataDir`, on a free port of 127.0.0.1 with no Unix socket, for as long as this process
 * does. The first start makes the cluster, with a random password in `dataDir/password` that its owner alone can read.
 * A server that a killed run left behind is stopped first; one that a living process owns is an error.
 *
 * Throws errors whose message is one line for the person at the terminal.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const binaries = await findBinaries();
  const folder = await openDataFolder(options.dataDir);
  const release = await claimFolder(folder.dataDir).catch((error: unknown) => {
    throw error instanceof Error && "code" in error ? unusable(folder.dataDir, error) : error;
  });
  let user: ServerUser | undefined;
  try {
    user = await serverUser(folder.clusterDir);
    return await startOn(folder, { ...options, binaries, user, release });
  } catch (error) {
    await release();
    throw await explained(error, { folder, binaries, user });
  }
}

interface StartOptions extends EmbeddedPostgresOptions {
  readonly binaries: Binaries;
  readonly user: ServerUser | undefined;
  readonly release: Release;
}

async function startOn(folder: DataFolder, options: StartOptions): Promise<EmbeddedPostgres> {
  const { binaries, user, log, unsafeFastForTests = false, release } = options;
  const password = await openCluster(folder, binaries, { user, syncToDisk: !unsafeFastForTests });
  await stopLeftover(folder, { binaries, user, log });
  const { server, port } = await startOnFreePort(folder, options);
  const exited = server.exited.then(release);
  const adminUrl = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
  try {
    await closeToOthers(adminUrl);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return {
    adminUrl,
    port,
    pid: server.pid,
    exited,
    stop: async () => {
      await server.stop();
      await exited;
    },
  };
}

/** Keeps the services' roles out of the databases that come with a cluster, which all may enter by default. */
async function closeToOthers(adminUrl: string): Promise<void> {
  const session = await openSession(adminUrl);
  try {
    await session.script("revoke all on database postgres from public; revoke all on database template1 from public");
  } finally {
    await session.close();
  }
}

async function startOnFreePort(
  { clusterDir }: DataFolder,
  { binaries, user, log, unsafeFastForTests = false, orphanGraceSeconds = ORPHAN_GRACE_SECONDS }: StartOptions,
): Promise<{ readonly server: ServerProcess; readonly port: number }> {
  let portTries = 0;
  for (let waitedMs = 0; ; ) {
    const port = await freePort();
    const settings = { ...SETTINGS, ...(unsafeFastForTests ? UNSAFE_SETTINGS : {}), port };
    try {
      const { postgres } = binaries;
      const server = await startServerProcess({ postgres, clusterDir, user, settings, log, orphanGraceSeconds });
      return { server, port };
    } catch (error) {
      if (!(error instanceof ServerStartError)) throw error;
      const says = (text: string) => error.lines.some((line) => line.includes(text));
      // Between our look for a free port and the server's start somebody else took it.
      if (says("Address already in use") && portTries < MAX_PORT_TRIES) {
        portTries += 1;
        continue;
      }
      // The former server was killed, and a process of it is still at work; it ends as soon as it notices.
      if (says("pre-existing shared memory block") && waitedMs < FORMER_SERVER_TIMEOUT_MS) {
        await new Promise((resolve) => setTimeout(resolve, FORMER_SERVER_POLL_MS));
        waitedMs += FORMER_SERVER_POLL_MS;
        continue;
      }
      throw error;
    }
  }
}

const SETTINGS: Readonly<Record<string, string | number>> = {
  listen_addresses: "127.0.0.1",
  // None: their paths have a limit of 107 bytes, which a data folder may well exceed.
  unix_socket_directories: "",
  max_connections: MAX_CONNECTIONS,
  // Compiling a plan pays for queries of seconds; ours take microseconds.
  jit: "off",
  // Our start waits for a line of the log; and errors of statements belong to whoever runs them, who gets them. In the
  // server's log they would put customers' data on the terminal.
  lc_messages: "C",
  log_min_messages: "log",
  log_min_error_statement: "panic",
  log_checkpoints: "off",
  log_timezone: "UTC",
  timezone: "UTC",
};

const UNSAFE_SETTINGS: Readonly<Record<string, string | number>> = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  wal_level: "minimal",
  max_wal_senders: 0,
};

async function freePort(): Promise<number> {
  const probe = createServer();
  probe.listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  if (address === null || typeof address === "string") throw new Error("A TCP server has no port");
  return address.port;
}

/** The error to show: where root's stand-in cannot get at a folder, that is the reason, whatever failed because of it. */
async function explained(
  error: unknown,
  { folder, binaries, user }: { folder: DataFolder; binaries: Binaries; user: ServerUser | undefined },
): Promise<unknown> {
  if (user === undefined) return error;
  for (const path of [folder.dataDir, binaries.postgres]) {
    const blocked = await blockingFolder(path, user);
    if (blocked === undefined) continue;
    return new Error(
      `PostgreSQL does not run as root, and the user it runs as instead (${user.uid}) cannot enter ${blocked}, on the ` +
        `way to ${path}: allow it to (chmod o+x ${blocked}), or run as another user`,
      { cause: error },
    );
  }
  return error;
}
