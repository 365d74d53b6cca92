import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import {
  BatchGetStockResponse,
  CreateReservationResponse,
  GetStockResponse,
} from "#gen/shop/inventory/v1/inventory_service.ts";
import { type Handlers, implement } from "#mesh/contract/contract.ts";
import { type Certificates, createCertificateHolder } from "#mesh/identity/certificates.ts";
import { newId } from "#mesh/ids.ts";
import { createMeshNode, type MeshNode, type ServeOptions } from "#mesh/mesh.ts";
import { migrate, openDatabase } from "#mesh/postgres/index.ts";
import type { CallStats, EndedBy } from "#mesh/rpc/call-stats.ts";
import { testConfig } from "#testing/mesh.ts";
import { quantile } from "../../e2e/support/figures.ts";
import { startStockChanges } from "../../services/inventory/changes.ts";
import { inventoryHandlers } from "../../services/inventory/handlers.ts";

/** The server that is overloaded: one process, with mutual TLS and its log on. */
export interface ServerSetup {
  readonly certificates: Certificates;
  /** Where the stock is kept; the handlers are a model without a database when there is none. */
  readonly databaseUrl: string | undefined;
  /** Whether the limit stays at its upper bound, as a fixed ceiling would. */
  readonly fixed: boolean;
  readonly stockedUnits: number;
  readonly skus: readonly string[];
}

/** What a server knows of itself. */
export interface ServerFigures {
  readonly cpuMs: number;
  /** How long its event loop was ready to run and had no core, since it began; 0 where the system does not tell. */
  readonly waitedMs: number;
  /** From the headers of a call to the refusal on its way out, of the calls shed since the last figures. */
  readonly shedOwnMs: { readonly p50: number; readonly p99: number };
  readonly limit: number;
}

export interface OverloadServer {
  readonly port: number;
  figures(): ServerFigures;
}

export async function startOverloadServer(setup: ServerSetup): Promise<OverloadServer> {
  const node = createMeshNode("inventory", testConfig(), {
    certificates: createCertificateHolder(setup.certificates),
    signingKeys: { keys: async () => [] },
    ...(setup.fixed ? { minConcurrentCalls: 1_000 } : {}),
  });
  const takeSheds = timeSheds(node.stats);
  const options = setup.databaseUrl === undefined ? modelOf() : await realInventory(node, setup.databaseUrl, setup);
  const { port } = await node.serve(options);
  return {
    port,
    figures() {
      const { user, system } = process.cpuUsage();
      return {
        cpuMs: (user + system) / 1_000,
        waitedMs: waitedMs(),
        shedOwnMs: takeSheds(),
        limit: Number(node.stats.read().concurrencyLimit),
      };
    },
  };
}

/** The second number of Linux's `schedstat`, in nanoseconds. */
function waitedMs(): number {
  try {
    return Number(readFileSync("/proc/self/schedstat", "utf8").split(" ")[1]) / 1e6;
  } catch {
    return 0;
  }
}

/**
 * Has stats take the time of each call that is shed as well: a full server refuses a call in the turn in which it comes.
 * Returns what takes the times since it was last called.
 */
function timeSheds(stats: CallStats): () => ServerFigures["shedOwnMs"] {
  const { begin, end } = { ...stats };
  let begunAtMs = 0;
  let times: number[] = [];
  Object.assign(stats, {
    begin() {
      begunAtMs = performance.now();
      begin();
    },
    end(failure?: EndedBy) {
      if (failure?.reason === "OVERLOADED") times.push(performance.now() - begunAtMs);
      end(failure);
    },
  });
  return () => {
    const taken = times;
    times = [];
    return { p50: quantile(taken, 0.5), p99: quantile(taken, 0.99) };
  };
}

/** Handlers that work and wait: short calls, every seventh of them long, and writes. */
function modelOf(): ServeOptions {
  const burn = burner();
  const unused = async (): Promise<never> => {
    throw new Error("not part of the measurement");
  };
  const handlers: Handlers<typeof InventoryService> = {
    async getStock() {
      burn(0.5);
      await delay(4);
      return GetStockResponse.create();
    },
    async batchGetStock() {
      burn(1);
      await delay(10);
      burn(1);
      return BatchGetStockResponse.create();
    },
    async createReservation() {
      burn(0.5);
      await delay(5);
      return CreateReservationResponse.create();
    },
    adjustStock: unused,
    getReservation: unused,
    commitReservation: unused,
    releaseReservation: unused,
    restockReservation: unused,
    listMovements: unused,
    async *watchStock() {},
  };
  return { services: [implement(InventoryService, handlers)] };
}

/** Keeps the processor busy with the work that takes so long when nothing else runs; it takes longer when something does. */
function burner(): (ms: number) => void {
  const block = Buffer.alloc(1_024, "work");
  const hash = (times: number): void => {
    for (let i = 0; i < times; i += 1) createHash("sha256").update(block).digest();
  };
  hash(20_000); // until it is compiled
  const before = process.cpuUsage();
  hash(20_000);
  const { user, system } = process.cpuUsage(before);
  const perMs = 20_000 / ((user + system) / 1_000);
  return (ms) => hash(Math.round(ms * perMs));
}

/** The service as it is, on its own database, with stock. */
async function realInventory(
  { log, clock }: MeshNode,
  url: string,
  { skus, stockedUnits }: ServerSetup,
): Promise<ServeOptions> {
  const db = openDatabase({ url, log, applicationName: "inventory" });
  await migrate(db, new URL("../../services/inventory/migrations/", import.meta.url));
  const changes = startStockChanges({ db, log });
  const handlers = inventoryHandlers({ db, clock, newId, changes, log });
  await db.query(
    "insert into stock (sku, on_hand, update_time) select unnest($1::text[]), $2::bigint, now() on conflict do nothing",
    [skus, stockedUnits],
  );
  return { services: [implement(InventoryService, handlers)], queues: [db] };
}
