/**
 * What do 5,000 watchers of one process cost? Run: `npx tsx bench/watchers.ts`; it takes a minute.
 *
 * The real inventory on a real PostgreSQL, a process of its own under mutual TLS with its log on; 5,000 streams of
 * WatchStock over six connections, by HTTP/2 without a gRPC library. First all watch one SKU, then each its own. Told are
 * the memory of a watcher (after a collection of garbage, against the same process before), the processor's time while
 * nothing happens, and how long it takes from a change until the watchers see it: one that comes through the process,
 * and one that another process made, of which nobody tells it.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { loadavg } from "node:os";
import { setTimeout as later } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { build } from "esbuild";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import type { Certificates } from "#mesh/identity/certificates.ts";
import { contextOptions } from "#mesh/identity/tls.ts";
import { newId } from "#mesh/ids.ts";
import { type Database, openDatabase } from "#mesh/postgres/index.ts";
import { CLIENT_ADDRESS_KEY } from "#mesh/rpc/call.ts";
import { createTestAuthority } from "#testing/authority.ts";
import { removeFolder, temporaryFolder } from "#testing/folders.ts";
import { startEmbeddedPostgres } from "../cli/postgres/embedded.ts";
import { mebibytes, quantile, table } from "../e2e/support/figures.ts";
import { type ServerSetup, startOverloadServer } from "./support/overload-server.ts";

const WATCHERS = 5_000;
const WATCHERS_PER_CONNECTION = 900;
/** Fewer than one address may have without a user. */
const WATCHERS_PER_ADDRESS = 200;
const OPENED_AT_ONCE = 100;
const IDLE_MS = 6_000;
const SETTLE_MS = 1_500;
const CHANGES = 5;
const DEADLINE_S = 120;

// --- the server -------------------------------------------------------------------------------------------------------

interface Figures {
  readonly rss: number;
  readonly heapUsed: number;
  readonly external: number;
  readonly cpuMs: number;
}

/** What the server is asked: to begin, or its figures, with or without a collection of garbage before. */
type Asked = ServerSetup | "collected" | "figures";

function runServer(): void {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  process.on("message", async (setup: Asked) => {
    if (typeof setup !== "string") return process.send?.({ port: (await startOverloadServer(setup)).port });
    if (setup === "collected") collect();
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed, external } = process.memoryUsage();
    return process.send?.({ rss, heapUsed, external, cpuMs: (user + system) / 1_000 } satisfies Figures);
  });
  process.once("disconnect", () => process.exit(0));
}

async function ask<T>(server: ChildProcess, what: Asked): Promise<T> {
  const answered = once(server, "message");
  server.send(what);
  // The server answers a setup with its port and "figures" with its figures.
  return (await answered)[0] as T;
}

// --- the watchers -----------------------------------------------------------------------------------------------------

const path = InventoryService.definition.watchStock.path;

/** Streams that count what comes. */
interface Watchers {
  /** Opens one; resolves when its first message is there. */
  open(sku: string): Promise<void>;
  /** How long from now until so many have had another message, in ms each. */
  seen(count: number): Promise<readonly number[]>;
  close(): void;
}

async function startWatchers(port: number, certificates: Certificates): Promise<Watchers> {
  const sessions: ClientHttp2Session[] = [];
  const streams: ClientHttp2Stream[] = [];
  let onMessage = (): void => {};
  const sessionFor = (number: number): ClientHttp2Session => {
    const at = Math.floor(number / WATCHERS_PER_CONNECTION);
    sessions[at] ??= connect(`https://127.0.0.1:${port}`, {
      ...contextOptions(certificates),
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    return sessions[at];
  };
  return {
    async open(sku) {
      const number = streams.length;
      const session = sessionFor(number);
      const stream = session.request({
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc",
        te: "trailers",
        "grpc-timeout": `${DEADLINE_S}S`,
        [CLIENT_ADDRESS_KEY]: `192.0.2.${Math.floor(number / WATCHERS_PER_ADDRESS)}`,
      });
      streams.push(stream);
      stream.on("error", () => undefined);
      stream.end(framed(InventoryService.definition.watchStock.requestSerialize({ skus: [sku], resumeToken: "" })));
      await new Promise<void>((resolve, reject) => {
        stream.once("data", () => {
          stream.on("data", () => onMessage());
          resolve();
        });
        stream.once("trailers", (trailers) => reject(new Error(`not watched: ${trailers["grpc-message"]}`)));
        stream.once("close", () => reject(new Error(`stream ${number} ended before its first message`)));
      });
    },
    seen(count) {
      const startedAt = performance.now();
      const took: number[] = [];
      return new Promise((resolve) => {
        onMessage = () => {
          took.push(performance.now() - startedAt);
          if (took.length === count) resolve(took);
        };
      });
    },
    close: () => {
      for (const session of sessions) session.destroy();
    },
  };
}

/** Changes stocks through the process, without waiting for the answer. */
interface Adjusting {
  once(sku: string): void;
  close(): void;
}

async function startAdjusting(port: number, certificates: Certificates): Promise<Adjusting> {
  const { path: adjustPath, requestSerialize } = InventoryService.definition.adjustStock;
  const session = dial(port, certificates);
  await once(session, "remoteSettings");
  return {
    once(sku) {
      const headers = { ":method": "POST", ":path": adjustPath, "content-type": "application/grpc", te: "trailers" };
      const stream = session.request(headers);
      stream.on("error", () => undefined);
      stream.resume();
      stream.end(framed(requestSerialize({ requestId: newId("req"), sku, delta: 1n, note: "" })));
    },
    close: () => session.destroy(),
  };
}

function dial(port: number, certificates: Certificates): ClientHttp2Session {
  const anybody = { rejectUnauthorized: false, checkServerIdentity: () => undefined };
  return connect(`https://127.0.0.1:${port}`, { ...contextOptions(certificates), ...anybody });
}

function framed(bytes: Uint8Array): Buffer {
  const frame = Buffer.alloc(5 + bytes.length);
  frame.writeUInt32BE(bytes.length, 1);
  frame.set(bytes, 5);
  return frame;
}

// --- the measurement --------------------------------------------------------------------------------------------------

interface Place {
  readonly file: string;
  readonly databaseUrl: string;
  readonly certificates: Readonly<Record<"inventory" | "gateway" | "operator", Certificates>>;
}

async function measure(what: string, skus: readonly string[], place: Place): Promise<readonly (readonly string[])[]> {
  const server = fork(place.file, ["server"], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    serialization: "advanced",
  });
  const db = openDatabase({ url: place.databaseUrl, log: { warn: () => undefined } });
  let watchers: Watchers | undefined;
  try {
    const { databaseUrl, certificates } = place;
    const setup = { databaseUrl, certificates: certificates.inventory, fixed: false, stockedUnits: 1_000, skus };
    const { port } = await ask<{ port: number }>(server, setup);
    const open = async (watched: readonly string[], of: Watchers): Promise<void> => {
      for (let at = 0; at < watched.length; at += OPENED_AT_ONCE) {
        await Promise.all(watched.slice(at, at + OPENED_AT_ONCE).map((sku) => of.open(sku)));
      }
    };
    const watched = Array.from({ length: WATCHERS }, (_, number) => skus[number % skus.length] ?? "");
    // What is compiled and allocated once is not the watchers'.
    const first = await startWatchers(port, certificates.gateway);
    await open(watched.slice(0, 500), first);
    first.close();
    await later(SETTLE_MS);
    const before = await ask<Figures>(server, "collected");
    await later(IDLE_MS);
    const alone = await ask<Figures>(server, "figures");
    watchers = await startWatchers(port, certificates.gateway);
    const startedAt = performance.now();
    await open(watched, watchers);
    const openMs = performance.now() - startedAt;
    await later(SETTLE_MS);
    const idle = await ask<Figures>(server, "collected");
    await later(IDLE_MS);
    const after = await ask<Figures>(server, "figures");
    const [sku = ""] = skus;
    const seeing = WATCHERS / skus.length;
    const adjust = await startAdjusting(port, certificates.operator);
    const { here, elsewhere } = await timeChanges(sku, { seeing, watchers, db, adjust });
    const perWatcher = (key: "rss" | "heapUsed" | "external"): string =>
      `${((idle[key] - before[key]) / WATCHERS / 1_024).toFixed(1)} KiB`;
    return [
      [`${what}: memory of a watcher, RSS`, perWatcher("rss")],
      [`${what}: … of it JavaScript heap`, perWatcher("heapUsed")],
      [`${what}: … and other memory of Node`, perWatcher("external")],
      [`${what}: the process with its watchers, RSS`, `${mebibytes(idle.rss)} MiB`],
      [`${what}: CPU while nothing changes, of a core`, ofACore(idle, after)],
      [`${what}: the same before anybody watched`, ofACore(before, alone)],
      [`${what}: opened in`, `${(openMs / 1_000).toFixed(1)} s`],
      [`${what}: all ${seeing} see what came through the process after, median and most of ${CHANGES}`, spread(here)],
      [
        `${what}: all ${seeing} see what another process changed after, median and most of ${CHANGES}`,
        spread(elsewhere),
      ],
    ];
  } finally {
    watchers?.close();
    await db.close();
    server.disconnect();
  }
}

/** How long until the last who watches has seen a change that came through the process, and one that did not; in ms. */
async function timeChanges(
  sku: string,
  { seeing, watchers, db, adjust }: { seeing: number; watchers: Watchers; db: Database; adjust: Adjusting },
): Promise<{ readonly here: readonly number[]; readonly elsewhere: readonly number[] }> {
  const [here, elsewhere]: [number[], number[]] = [[], []];
  for (let n = 0; n < CHANGES; n += 1) {
    const seen = watchers.seen(seeing);
    await db.query("update stock set on_hand = on_hand + 1 where sku = $1", [sku]);
    elsewhere.push(Math.max(...(await seen)));
    const seenHere = watchers.seen(seeing);
    adjust.once(sku);
    here.push(Math.max(...(await seenHere)));
  }
  adjust.close();
  return { here, elsewhere };
}

function ofACore(from: Figures, to: Figures): string {
  return `${((to.cpuMs - from.cpuMs) / (IDLE_MS / 100)).toFixed(2)} %`;
}

function spread(took: readonly number[]): string {
  return `${quantile(took, 0.5).toFixed(0)} / ${Math.max(...took).toFixed(0)} ms`;
}

async function main(): Promise<void> {
  const file = fileURLToPath(new URL("../dist/bench/watchers.js", import.meta.url));
  const entryPoints = [fileURLToPath(import.meta.url)];
  // As the services are: the loader that runs this file adds to the memory of every closure.
  await build({ entryPoints, outfile: file, bundle: true, packages: "external", platform: "node", format: "esm" });
  const authority = await createTestAuthority();
  const [inventory, gateway, operator] = [
    await authority.issue("inventory"),
    await authority.issue("gateway"),
    await authority.issue("operator"),
  ];
  const certificates = { inventory, gateway, operator };
  const dataDir = await temporaryFolder();
  const postgres = await startEmbeddedPostgres({ dataDir, log: () => undefined });
  const load = (): string =>
    loadavg()
      .map((one) => one.toFixed(1))
      .join(", ");
  try {
    process.stdout.write(`load average ${load()}\n`);
    const place = { file, certificates, databaseUrl: postgres.adminUrl };
    const own = Array.from({ length: WATCHERS }, (_, number) => `OWN-${number}`);
    const rows = [...(await measure("one SKU", ["SKU-1"], place)), ...(await measure("each its own", own, place))];
    process.stdout.write(`${table(["what", "seen"], rows)}\nload average ${load()}\n`);
  } finally {
    await postgres.stop();
    await removeFolder(dataDir);
  }
}

if (process.argv[2] === "server") runServer();
else await main();
