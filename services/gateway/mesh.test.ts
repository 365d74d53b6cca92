import { status as codes, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import { GetStockRequest, GetStockResponse, InventoryServiceClient } from "#gen/shop/inventory/v1/inventory_service.ts";
import type { Implementation } from "#mesh/contract/contract.ts";
import { isReason } from "#mesh/contract/errors.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { decodeFailure } from "#mesh/rpc/status.ts";
import { startTestMesh, type TestMesh, type TestMeshOptions } from "#testing/mesh.ts";
import { createCleanup, startTestGateway } from "./testing/setup.ts";

const cleanup = createCleanup();
afterEach(() => cleanup.run());

interface TestShop {
  readonly calls: Call[];
  readonly mesh: TestMesh;
  readonly client: InventoryServiceClient;
}

/** A service of the mesh behind the gateway; what its handlers were called with. One asked for "HELD" has no end. */
async function startShop(options: TestMeshOptions = {}): Promise<TestShop> {
  const calls: Call[] = [];
  const names = Object.keys(InventoryService.methods);
  const handler = async ({ sku }: GetStockRequest, call: Call): Promise<GetStockResponse> => {
    calls.push(call);
    if (sku === "HELD") await new Promise((_, reject) => call.signal.addEventListener("abort", reject));
    return GetStockResponse.create();
  };
  const implementation: Implementation = {
    contract: InventoryService,
    handlers: Object.fromEntries(names.map((name) => [name, handler])),
  };
  const mesh = await startTestMesh({ inventory: () => [implementation] }, options);
  cleanup.add(() => mesh.close());
  const targets = { inventory: [mesh.address("inventory")] };
  const gateway = await startTestGateway(cleanup, { contracts: [InventoryService], targets });
  const client = new InventoryServiceClient(gateway.address, credentials.createInsecure());
  cleanup.add(() => client.close());
  return { calls, mesh, client };
}

function getStock(client: InventoryServiceClient, metadata: Metadata, sku = "SKU-1"): Promise<GetStockResponse> {
  return new Promise((resolve, reject) => {
    client.getStock(GetStockRequest.create({ sku }), metadata, (error, response) =>
      error === null ? resolve(response) : reject(error),
    );
  });
}

test("services know the gateway, and the user whose token a caller sends", async () => {
  const { calls, mesh, client } = await startShop();
  await getStock(client, new Metadata());
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${mesh.token({ id: "usr_1" })}`);
  await getStock(client, metadata);
  expect(calls.map(({ caller, user }) => [caller, user?.id])).toEqual([
    ["gateway", undefined],
    ["gateway", "usr_1"],
  ]);
});

test("passes no call to who is another service than the one it is for", async () => {
  const mesh = await startTestMesh({ cart: () => [] });
  cleanup.add(() => mesh.close());
  const targets = { inventory: [mesh.address("cart")] };
  const gateway = await startTestGateway(cleanup, { contracts: [InventoryService], targets });
  const client = new InventoryServiceClient(gateway.address, credentials.createInsecure());
  cleanup.add(() => client.close());
  await expect(getStock(client, new Metadata())).rejects.toMatchObject({ code: codes.UNAVAILABLE });
});

test("a caller who pretends to be a service is not taken for one", async () => {
  const { calls, client } = await startShop();
  const metadata = new Metadata();
  metadata.set("shopmesh-caller", "orders");
  const error = await new Promise<ServiceError | null>((resolve) => {
    client.createReservation({ requestId: "r", lines: [], timeToLive: undefined, reference: "" }, metadata, resolve);
  });
  expect(error?.code === codes.UNAUTHENTICATED || error?.code === codes.PERMISSION_DENIED).toBe(true);
  expect(calls).toEqual([]);
});

test("a service's own failures reach the caller with their reasons", async () => {
  const { client } = await startShop();
  const error = await getStock(client, new Metadata(), "").catch((failed: ServiceError) => failed);
  if (!(error instanceof Error)) throw new Error("it succeeded");
  expect(isReason(decodeFailure(error, ""), "INVALID_REQUEST")).toBe(true);
});

test("a caller who would wait for a month is answered, within the method's own time", async () => {
  const { calls, client } = await startShop();
  const month = 30 * 24 * 3_600_000;
  const answered = new Promise<ServiceError | null>((resolve) => {
    const deadline = Date.now() + month;
    client.getStock(GetStockRequest.create({ sku: "SKU-1" }), new Metadata(), { deadline }, resolve);
  });
  expect(await answered).toBeNull();
  expect((calls[0]?.deadline ?? month) - Date.now()).toBeLessThanOrEqual(InventoryService.methods.getStock.deadlineMs);
});

test("a service without room says so to the caller itself, and when to come again", async () => {
  const { calls, client, mesh } = await startShop({ maxConcurrentCalls: 1 });
  getStock(client, new Metadata(), "HELD").catch(() => undefined);
  await expect.poll(() => calls.length).toBe(1);
  const error = await getStock(client, new Metadata()).catch((failed: ServiceError) => failed);
  if (!(error instanceof Error)) throw new Error("it succeeded");
  expect(decodeFailure(error, "")).toMatchObject({
    code: "RESOURCE_EXHAUSTED",
    reason: "OVERLOADED",
    domain: "shop.inventory.v1.InventoryService",
    retryDelayMs: expect.any(Number),
  });
  expect(mesh.mesh("inventory").stats.read()).toMatchObject({ callsShed: 1n });
});
