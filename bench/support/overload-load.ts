import { once } from "node:events";
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import { HealthService } from "#gen/grpc/health/v1/health.ts";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import type { Certificates } from "#mesh/identity/certificates.ts";
import { contextOptions } from "#mesh/identity/tls.ts";
import { newId } from "#mesh/ids.ts";
import { quantile } from "../../e2e/support/figures.ts";

/** What a process of load does: calls as a workload, so many a second, whatever becomes of them. */
export interface LoadSetup {
  readonly port: number;
  readonly certificates: Certificates;
  readonly kind: CallKind;
  readonly skus: readonly string[];
}

export type CallKind = "reads" | "reservations" | "health";

export interface LoadOrder {
  /** Calls a second that come at even intervals; or, if `atOnce` is given, as many as there is time for. */
  readonly perSecond: number;
  readonly atOnce?: number;
  readonly seconds: number;
  /** What came before counts for nothing. */
  readonly warmUpSeconds: number;
}

/** What became of the calls that were due after the warm-up. Latencies count from when a call was due. */
export interface LoadFigures {
  readonly offeredPerSecond: number;
  readonly goodPerSecond: number;
  readonly shedPerSecond: number;
  /** Late, or failed in another way. */
  readonly lostPerSecond: number;
  readonly goodMs: Spread;
  readonly shedMs: Spread;
  /** Of a core, what the process of load used. */
  readonly cpuShare: number;
}

export interface Spread {
  readonly p50: number;
  readonly p99: number;
}

const TIMEOUT_S = 1;
const SESSIONS = 4;
/** So many calls may be under way in one process of load; further ones count as lost. */
const MAX_UNDER_WAY = 20_000;
const OK = 0;
const RESOURCE_EXHAUSTED = 8;

export interface Load {
  run(order: LoadOrder): Promise<LoadFigures>;
}

/** HTTP/2 by hand, at a third of what a gRPC client costs: the machine's two processors are for the server. */
export async function startLoad({ port, certificates, kind, skus }: LoadSetup): Promise<Load> {
  const sessions = await Promise.all(Array.from({ length: SESSIONS }, () => open(port, certificates)));
  const next = requests(kind, skus);
  let number = 0;
  const send = (onEnd: (status: number) => void): void => {
    number += 1;
    const session = sessions[number % SESSIONS];
    const { path, bytes } = next(number);
    if (session === undefined || session.destroyed) {
      onEnd(-1);
      return;
    }
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      "grpc-timeout": `${TIMEOUT_S}S`,
    });
    let status = -1;
    const read = (headers: IncomingHttpHeaders): void => {
      if (headers["grpc-status"] !== undefined) status = Number(headers["grpc-status"]);
    };
    stream.on("response", read);
    stream.on("trailers", read);
    stream.on("error", () => undefined);
    stream.on("close", () => onEnd(status));
    stream.resume();
    stream.end(bytes);
  };
  return { run: (order) => run(order, send) };
}

type Send = (onEnd: (status: number) => void) => void;

async function run({ perSecond, atOnce, seconds, warmUpSeconds }: LoadOrder, send: Send): Promise<LoadFigures> {
  const startedAt = performance.now();
  const usedBefore = process.cpuUsage();
  const goodMs: number[] = [];
  const shedMs: number[] = [];
  let offered = 0;
  let lost = 0;
  let underWay = 0;
  const call = (dueAt: number, onEnd: () => void): void => {
    const counts = dueAt >= startedAt + warmUpSeconds * 1_000;
    if (counts) offered += 1;
    underWay += 1;
    send((status) => {
      underWay -= 1;
      const tookMs = performance.now() - dueAt;
      if (counts) {
        if (status === OK && tookMs <= TIMEOUT_S * 1_000) goodMs.push(tookMs);
        else if (status === RESOURCE_EXHAUSTED) shedMs.push(tookMs);
        else lost += 1;
      }
      onEnd();
    });
  };
  const endAt = startedAt + seconds * 1_000;
  const again = (): void => {
    if (performance.now() < endAt) call(performance.now(), again);
  };
  for (let i = 0; i < (atOnce ?? 0); i += 1) again();
  for (let due = 0; performance.now() < endAt; ) {
    const now = performance.now();
    for (; atOnce === undefined && startedAt + (due * 1_000) / perSecond <= now; due += 1) {
      if (underWay < MAX_UNDER_WAY) call(startedAt + (due * 1_000) / perSecond, () => undefined);
      else lost += 1;
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  while (underWay > 0 && performance.now() < endAt + 2_000 * TIMEOUT_S) await new Promise((r) => setTimeout(r, 10));
  lost += underWay;
  const { user, system } = process.cpuUsage(usedBefore);
  const measured = seconds - warmUpSeconds;
  return {
    offeredPerSecond: offered / measured,
    goodPerSecond: goodMs.length / measured,
    shedPerSecond: shedMs.length / measured,
    lostPerSecond: lost / measured,
    goodMs: spread(goodMs),
    shedMs: spread(shedMs),
    cpuShare: (user + system) / 1_000 / (performance.now() - startedAt),
  };
}

function spread(values: readonly number[]): Spread {
  return { p50: quantile(values, 0.5), p99: quantile(values, 0.99) };
}

async function open(port: number, certificates: Certificates): Promise<ClientHttp2Session> {
  const session = connect(`https://127.0.0.1:${port}`, {
    ...contextOptions(certificates),
    checkServerIdentity: () => undefined, // by name; who signed it is checked
  });
  session.on("error", () => undefined);
  await once(session, "remoteSettings");
  return session;
}

interface Request {
  readonly path: string;
  readonly bytes: Buffer;
}

function requests(kind: CallKind, skus: readonly string[]): (number: number) => Request {
  const { getStock, batchGetStock, createReservation } = InventoryService.definition;
  const sku = (number: number): string => skus[number % skus.length] ?? "";
  const health = {
    path: HealthService.check.path,
    bytes: frame(HealthService.check.requestSerialize({ service: "" })),
  };
  if (kind === "health") return () => health;
  if (kind === "reads") {
    const reads = skus.map((one) => ({ path: getStock.path, bytes: frame(getStock.requestSerialize({ sku: one })) }));
    const all = { path: batchGetStock.path, bytes: frame(batchGetStock.requestSerialize({ skus: skus.slice(0, 20) })) };
    return (number) => (number % 7 === 0 ? all : (reads[number % reads.length] ?? all));
  }
  return (number) => {
    const lines = [{ sku: sku(number), quantity: 1n }];
    const timeToLive = { seconds: 900n, nanos: 0 };
    const request = { requestId: newId("req"), reference: "ord_1", lines, timeToLive };
    return { path: createReservation.path, bytes: frame(createReservation.requestSerialize(request)) };
  };
}

function frame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
