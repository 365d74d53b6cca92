import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client } from "pg";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openSession } from "#mesh/postgres/database.ts";
import { removeFolder, temporaryFolder } from "#testing/folders.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "./embedded.ts";
import { isAlive, startOf } from "./processes.ts";

let folder: string;
let dataDir: string;
const cleanups: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  folder = await temporaryFolder();
  dataDir = folder;
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await removeFolder(folder);
});

async function start(options: { durable?: boolean } = {}): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({
    dataDir,
    log: () => {},
    unsafeFastForTests: options.durable !== true,
    orphanGraceSeconds: 0,
  });
  cleanups.push(() => server.stop());
  return server;
}

async function ask<Row extends object>({ adminUrl }: { adminUrl: string }, text: string): Promise<readonly Row[]> {
  const session = await openSession(adminUrl);
  try {
    return await session.query<Row>(text);
  } finally {
    await session.close();
  }
}

const serverPid = async () => Number.parseInt(await readFile(join(dataDir, "cluster", "postmaster.pid"), "utf8"), 10);

/** An owner in a process of its own; resolves when its server runs. */
async function startOwner(grace: number): Promise<{ readonly owner: ChildProcess; readonly adminUrl: string }> {
  const script = fileURLToPath(new URL("./testdata/owner.ts", import.meta.url));
  // A group of its own, as a terminal gives each command; tsx, since Node 20 reads no TypeScript.
  const options = { execArgv: ["--import", "tsx"], detached: true };
  const owner = fork(script, [dataDir, String(grace)], options);
  cleanups.push(async () => {
    if (owner.exitCode === null && owner.signalCode === null) {
      owner.kill("SIGKILL");
      await once(owner, "exit");
    }
  });
  const [message] = await once(owner, "message");
  return { owner, adminUrl: message.adminUrl };
}

async function killHard(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

test("starts, stops, and has its data again on the next start", async () => {
  const first = await start();
  await ask(first, "create table kept as select 1 as n");
  await first.stop();
  await first.stop();
  const second = await start();
  expect(await ask(second, "select n from kept")).toEqual([{ n: 1 }]);
});

test("keeps its password where its owner alone can read it, and lets nobody in without", async () => {
  const server = await start();
  const { mode } = await stat(join(dataDir, "password"));
  expect(mode & 0o777).toBe(0o600);
  const url = new URL(server.adminUrl);
  expect((await readFile(join(dataDir, "password"), "utf8")).trim()).toBe(url.password);
  url.password = "wrong";
  await expect(openSession(url.href)).rejects.toThrow(/password authentication failed/);
});

test("listens on the loopback address alone, with settings that make commits durable unless asked otherwise", async () => {
  const server = await start({ durable: true });
  const settings = await ask<{ name: string; setting: string }>(
    server,
    `select name, setting from pg_settings
    where name in ('listen_addresses', 'unix_socket_directories', 'fsync', 'synchronous_commit', 'full_page_writes')`,
  );
  expect(Object.fromEntries(settings.map(({ name, setting }) => [name, setting]))).toEqual({
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    fsync: "on",
    synchronous_commit: "on",
    full_page_writes: "on",
  });
});

test("recovers all that was committed when the server itself was killed", async () => {
  const first = await start({ durable: true });
  await ask(first, "create table kept as select 1 as n");
  process.kill(await serverPid(), "SIGKILL");
  await first.exited;
  const second = await start({ durable: true });
  expect(await ask(second, "select n from kept")).toEqual([{ n: 1 }]);
});

test("stops the server of an owner that was killed, and goes on with its data", async () => {
  const { owner, adminUrl } = await startOwner(600);
  await ask({ adminUrl }, "create table kept as select 1 as n");
  const former = await serverPid();
  await killHard(owner);
  expect(isAlive(former)).toBe(true);
  const server = await start();
  expect(await serverPid()).not.toBe(former);
  expect(await ask(server, "select n from kept")).toEqual([{ n: 1 }]);
  expect(await openSession(adminUrl).catch(() => "refused")).toBe("refused");
});

test("the server of an owner that was killed ends by itself", async () => {
  const { owner, adminUrl } = await startOwner(0);
  const server = await serverPid();
  const client = new Client(adminUrl);
  await client.connect();
  // The server's last word to its clients.
  const lastWord = new Promise<Error>((resolve) => client.once("error", resolve));
  await killHard(owner);
  expect((await lastWord).message).toBe("terminating connection due to administrator command");
  await client.end();
  await vi.waitFor(async () => expect(await startOf(server)).toBeUndefined(), { timeout: 10_000 });
});

test("Ctrl-C in a terminal leaves the server to its owner", async () => {
  const { owner } = await startOwner(0);
  const answered = once(owner, "message");
  const exited = once(owner, "exit");
  // To the whole process group, as a terminal does.
  process.kill(-Number(owner.pid), "SIGINT");
  expect((await answered)[0]).toEqual({ answer: 42 });
  expect(await exited).toEqual([0, null]);
});

test("refuses a folder that a living process owns", async () => {
  await start();
  await expect(start()).rejects.toThrow(new RegExp(`in use by process ${process.pid}: stop that first`));
});

test("is not misled by an old pid file whose process id went to another program", async () => {
  const first = await start();
  const pidFile = join(dataDir, "cluster", "postmaster.pid");
  const text = await readFile(pidFile, "utf8");
  await first.stop();
  const { uid, gid } = await stat(join(dataDir, "cluster"));
  const other = spawn("sleep", ["600"], { uid, gid });
  cleanups.push(() => killHard(other));
  await once(other, "spawn");
  await writeFile(pidFile, text.replace(/^\d+/, String(other.pid)));
  const second = await start();
  expect(await ask(second, "select 1 as n")).toEqual([{ n: 1 }]);
  expect(other.exitCode).toBeNull();
});

test("makes the cluster anew when its making was cut short", async () => {
  const first = await start();
  await first.stop();
  await rm(join(dataDir, "cluster"), { recursive: true });
  await writeFile(join(dataDir, "cluster.new"), "half");
  const second = await start();
  expect(await ask(second, "select 1 as n")).toEqual([{ n: 1 }]);
});

test.each([
  ["is a file", (path: string) => path],
  ["would be inside a file", (path: string) => join(path, "data")],
])("says in one line that the data folder %s", async (_, place) => {
  const file = join(folder, "file");
  await writeFile(file, "");
  const error = await startEmbeddedPostgres({ dataDir: place(file), log: () => {} }).catch(
    (failure: unknown) => failure,
  );
  expect(error).toBeInstanceOf(Error);
  expect(String(error)).toMatch(/^Error: Cannot use the data folder .*SHOPMESH_DATA\.$/);
});
