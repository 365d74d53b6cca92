import { setTimeout as delay } from "node:timers/promises";
import type { CertificateSource } from "#mesh/identity/certificates.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import { type FaultProxy, startFaultProxy } from "#testing/fault-proxy.ts";
import type { Intercept } from "#testing/faults/exchange.ts";
import { type DataFolder, dataFolder, prepareDataFolder } from "../../cli/data/folder.ts";
import { readRunState } from "../../cli/data/run-file.ts";
import { loadSecrets } from "../../cli/data/secrets.ts";
import { openLogFile } from "../../cli/logs/log-file.ts";
import { operatorMesh } from "../../cli/operator-client.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../cli/postgres/embedded.ts";
import type { Reach, Way } from "../../cli/run-plan.ts";
import { readSettings } from "../../cli/settings.ts";
import { type Shop, startShop } from "../../cli/shop.ts";
import { captureOutput } from "../../cli/testing/programs.ts";
import type { Instances } from "../../cli/topology.ts";
import type { BooksSource } from "../audit/read-books.ts";
import { createIdentities, type Identities } from "./identities.ts";
import { programsDir, type ShopPlace } from "./setup.ts";

/** The real shop, with a proxy on every way that matters to an order, and hands on its processes. */
export interface FaultShop {
  readonly address: string;
  readonly shop: Shop;
  /** The mesh as the operator sees it, with nobody in between. */
  readonly operator: MeshNode;
  /** The proxies, one a way: between services, to the payment gateway, to PostgreSQL. */
  readonly links: readonly Link[];
  /** Where the records are, now: PostgreSQL moves to another port with each restart. */
  source(): BooksSource;
  readonly logsDir: string;
  /** Every program's name, but PostgreSQL's. */
  readonly programs: readonly string[];
  /** Sends a signal to the process of a program; false when it has none now. */
  signal(program: string, signal: NodeJS.Signals): boolean;
  /** Ends PostgreSQL at once, without any order, and starts it again. */
  restartPostgres(how: "SIGKILL" | "SIGQUIT"): Promise<void>;
  /** Waits until every process takes calls. Rejects after so long. */
  ready(timeoutMs: number): Promise<void>;
  close(): Promise<void>;
}

export interface Link extends FaultProxy {
  readonly caller: string;
  readonly callee: string;
  readonly protocol: "grpc" | "http" | "tcp";
}

export interface FaultShopOptions {
  readonly place: ShopPlace;
  readonly instances?: Instances;
  readonly intercept?: Intercept;
}

// Who is ended again and again is to be there again soon: a test has no time for the patience of an operator.
const often = { crashes: 1_000, crashingMs: 1_000, crashingMaxMs: 1_000 };
const restartPolicy = { ...often, initialMs: 200, maxMs: 1_000, steadyMs: 5_000, readyMs: 60_000 };
const pollMs = 50;

/** Starts a shop on a PostgreSQL of its own that keeps what it has committed (fsync), in a folder of its own. */
export async function startFaultShop(options: FaultShopOptions): Promise<FaultShop> {
  const { place, instances = {} } = options;
  const folder = dataFolder(place.dataDir);
  prepareDataFolder(folder);
  const postgres = await startRestartable(folder);
  const network = createNetwork(options.intercept ?? (() => "pass"), postgres.address, createIdentities(folder));
  const close = async (shop: Shop | undefined): Promise<void> => {
    await shop?.stop();
    await network.close();
    await postgres.stop();
  };
  const output = captureOutput();
  const settings = readSettings({}, { port: String(place.port), data: place.dataDir });
  // Goods that nobody carries rest: an order that is paid has its shipment, and stays where it is.
  const own = { instances, postgresUrl: postgres.adminUrl(), env: { ...process.env, SHOPMESH_COURIER: "off" } };
  const shop = await startShop({ ...settings, ...own, output, programsDir, reach: network.reach, restartPolicy }).catch(
    async (error: unknown) => {
      await close(undefined);
      throw new Error(`the shop did not start:\n${output.text()}`, { cause: error });
    },
  );
  const state = await readRunState(folder);
  if (state === undefined) throw new Error("a shop that runs has told nobody");
  const operator = operatorMesh(state, folder);
  const killed = new Set<number>();
  const processOf = (program: string) => shop.processes().find(({ name }) => name === program);
  const gatewayKey = loadSecrets(folder.secretsFile, []).simulatorKey;
  return {
    address: shop.address,
    shop,
    operator,
    links: network.links,
    source: () => ({
      adminUrl: postgres.adminUrl(),
      prefix: settings.postgresPrefix,
      gatewayUrl: `http://127.0.0.1:${processOf("payment-gateway")?.port}`,
      gatewayKey,
    }),
    logsDir: folder.logsDir,
    programs: shop.processes().map(({ name }) => name),
    signal(program, signal) {
      const pid = processOf(program)?.pid ?? 0;
      if (signal === "SIGKILL") killed.add(pid);
      return pid > 0 && process.kill(pid, signal);
    },
    restartPostgres: postgres.restart,
    async ready(timeoutMs) {
      const giveUpMs = performance.now() + timeoutMs;
      // One that was killed may pass for ready until its end is noticed.
      while (shop.processes().some(({ state, pid }) => state !== "ready" || killed.has(pid))) {
        if (performance.now() > giveUpMs) throw new Error(`not all were ready:\n${output.text().slice(-2_000)}`);
        await delay(pollMs);
      }
    },
    close() {
      operator.close();
      return close(shop);
    },
  };
}

interface RestartablePostgres {
  adminUrl(): string;
  /** `127.0.0.1:5432`, other after each restart. */
  address(): string;
  restart(how: "SIGKILL" | "SIGQUIT"): Promise<void>;
  stop(): Promise<void>;
}

async function startRestartable({ postgresDir, logsDir }: DataFolder): Promise<RestartablePostgres> {
  const file = openLogFile(`${logsDir}/postgres.log`, { onError: () => {} });
  const log = (line: string): void => file.append(`${line}\n`);
  const start = (): Promise<EmbeddedPostgres> =>
    startEmbeddedPostgres({ dataDir: postgresDir, log, orphanGraceSeconds: 0 });
  let server = await start();
  let restarting = Promise.resolve();
  const restart = async (how: "SIGKILL" | "SIGQUIT"): Promise<void> => {
    process.kill(server.pid, how);
    await server.exited;
    server = await start();
  };
  return {
    adminUrl: () => server.adminUrl,
    address: () => `127.0.0.1:${server.port}`,
    restart(how) {
      restarting = restarting.then(() => restart(how));
      return restarting;
    },
    async stop() {
      await restarting.catch(() => {});
      // Without order: nobody needs the checkpoint that goes with it.
      process.kill(server.pid, "SIGQUIT");
      await server.exited;
      file.close();
    },
  };
}

interface Network {
  readonly reach: Reach;
  readonly links: readonly Link[];
  close(): Promise<void>;
}

function createNetwork(intercept: Intercept, postgresAddress: () => string, workloads: Identities): Network {
  const links: Link[] = [];
  return {
    links,
    async reach(way) {
      const protocol = protocolOf(way);
      if (protocol === undefined) return way.address;
      const { caller, callee } = way;
      const upstream = protocol === "tcp" ? postgresAddress : () => way.address;
      const of = (program: string): CertificateSource => workloads.of(serviceOf(program));
      const identities = protocol === "grpc" ? { caller: of(caller), callee: of(callee) } : undefined;
      const proxy = await startFaultProxy({ protocol, caller, callee, upstream, intercept, identities });
      links.push({ ...proxy, caller, callee, protocol });
      return proxy.address;
    },
    async close() {
      workloads.close();
      await Promise.all(links.map((link) => link.close()));
    },
  };
}

const calledByOrders = ["cart", "catalog", "inventory", "payments"];

/** How two programs talk, where somebody is to stand between them; undefined elsewhere. */
function protocolOf({ caller, callee }: Way): Link["protocol"] | undefined {
  if (callee === "postgres") return "tcp";
  // Requests one way, webhooks the other.
  if (callee === "payment-gateway" || caller === "payment-gateway") return "http";
  const service = serviceOf(callee);
  const isAnOrdersWay = serviceOf(caller) === "orders" && calledByOrders.includes(service);
  return isAnOrdersWay || (serviceOf(caller) === "gateway" && service === "orders") ? "grpc" : undefined;
}

/** `orders` of `orders-2`. */
export function serviceOf(program: string): string {
  return program.replace(/-\d+$/, "");
}
