import { once } from "node:events";
import { type ClientHttp2Stream, connect } from "node:http2";
import { pino } from "pino";
import { afterEach, expect, test } from "vitest";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import { startChanges } from "#mesh/changes.ts";
import { implement } from "#mesh/contract/contract.ts";
import { staticEndpoints } from "#mesh/discovery/endpoints.ts";
import { createCertificateHolder } from "#mesh/identity/certificates.ts";
import { newId } from "#mesh/ids.ts";
import { createCallStats } from "#mesh/rpc/call-stats.ts";
import { readDescriptors } from "#mesh/rpc/descriptors.ts";
import { testCertificates } from "#testing/certificates.ts";
import { fakeClock } from "#testing/clock.ts";
import { startTestMesh } from "#testing/mesh.ts";
import { testDatabase } from "#testing/postgres.ts";
import { startGateway } from "../services/gateway/gateway.ts";
import type { WatchedStock } from "../services/inventory/changes.ts";
import { inventoryHandlers } from "../services/inventory/handlers.ts";

const SKU = "WATCHED-1";
const CHANGES = 20_000;
const CHECKED_EVERY = 500;
/** What fits into a window of 64 KiB on each of the two connections, and the gateway's buffers in between. */
const MAX_HELD_BYTES = 4 * 64 * 1_024;

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const log = pino({ level: "silent" });
const { path, requestSerialize, responseDeserialize } = InventoryService.definition.watchStock;

/** The gateway before inventory, whose changes the test makes up. */
async function start() {
  const database = await testDatabase(new URL("../services/inventory/migrations/", import.meta.url));
  const { db } = database;
  cleanUps.push(() => database.close());
  await db.query("insert into stock (sku, update_time) values ($1, now())", [SKU]);
  const changes = startChanges<WatchedStock>({ name: "stock", read: async () => [], log });
  const handlers = inventoryHandlers({ db, clock: fakeClock(), newId, changes, log });
  const mesh = await startTestMesh({ inventory: () => [implement(InventoryService, handlers)] });
  cleanUps.push(
    () => mesh.close(),
    () => changes.close(),
  );
  const gateway = await startGateway({
    host: "127.0.0.1",
    port: 0,
    contracts: [InventoryService],
    endpoints: staticEndpoints({ inventory: [mesh.address("inventory")] }),
    payments: { handleWebhook: () => Promise.reject(new Error("unused")), call: () => expect.fail("unused") },
    certificates: createCertificateHolder(await testCertificates("gateway")),
    descriptors: readDescriptors,
    stats: createCallStats(() => 0),
    log,
    limits: { shutdownMs: 200, goawayPauseMs: 20 },
  });
  cleanUps.push(() => gateway.close());
  return { changes, gateway };
}

/** A stream of WatchStock over a connection of its own. Nothing is read before somebody listens. */
function watch(port: number): ClientHttp2Stream {
  const session = connect(`http://127.0.0.1:${port}`);
  cleanUps.push(() => session.destroy());
  const headers = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
  const stream = session.request(headers);
  const bytes = requestSerialize({ skus: [SKU], resumeToken: "" });
  const frame = Buffer.alloc(5 + bytes.length);
  frame.writeUInt32BE(bytes.length, 1);
  frame.set(bytes, 5);
  stream.end(frame);
  return stream;
}

/** Reads a stream from now on: how many bytes came, and the stock that was told last. */
function reading(stream: ClientHttp2Stream) {
  const seen = { bytes: 0, onHand: -1n };
  const wakes = new Set<() => void>();
  let rest = Buffer.alloc(0);
  stream.on("data", (chunk: Buffer) => {
    seen.bytes += chunk.length;
    rest = Buffer.concat([rest, chunk]);
    for (let size = 0; rest.length >= 5; rest = rest.subarray(size)) {
      size = 5 + rest.readUInt32BE(1);
      if (rest.length < size) break;
      seen.onHand = responseDeserialize(rest.subarray(5, size)).stock?.onHand ?? -1n;
    }
    for (const wake of wakes) wake();
  });
  const until = async (onHand: bigint): Promise<void> => {
    while (seen.onHand < onHand) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          wakes.delete(wake);
          resolve();
        };
        wakes.add(wake);
      });
    }
  };
  return { seen, until };
}

test("a watcher that reads nothing is held a bounded part of what happens, delays nobody, and is told the last", async () => {
  const { changes, gateway } = await start();
  const slow = watch(gateway.port);
  await once(slow, "response");
  const quick = reading(watch(gateway.port));
  await quick.until(0n);
  const updateTime = new Date();
  for (let change = 1; change <= CHANGES; change += 1) {
    const onHand = BigInt(change);
    changes.publish({ id: SKU, sku: SKU, onHand, reserved: 0n, updateTime, version: change + 1 });
    // One message at a time can be written, so each change gets the turn in which it could be.
    await new Promise(setImmediate);
    if (change % CHECKED_EVERY === 0) await quick.until(onHand);
  }
  const late = reading(slow);
  await late.until(BigInt(CHANGES));
  expect(late.seen.bytes).toBeLessThan(MAX_HELD_BYTES);
  // So that the bound above is one: who reads is told of more than that.
  expect(quick.seen.bytes).toBeGreaterThan(2 * MAX_HELD_BYTES);
}, 60_000);

test("a gateway that leaves ends a watch with UNAVAILABLE", async () => {
  const { gateway } = await start();
  const stream = watch(gateway.port);
  await reading(stream).until(0n);
  const trailers = once(stream, "trailers");
  await gateway.close();
  expect((await trailers)[0]).toMatchObject({ "grpc-status": "14" });
});
