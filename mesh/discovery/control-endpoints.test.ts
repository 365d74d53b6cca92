import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { StreamResourcesRequest, StreamResourcesResponse, TrustBundle } from "#gen/mesh/v1/discovery_service.ts";
import { backgroundCall } from "#mesh/rpc/call-context.ts";
import { createLogger } from "#mesh/telemetry/log.ts";
import { ControlEndpoints } from "./control-endpoints.ts";
import type { Cluster } from "./endpoints.ts";
import { createSignal } from "./signal.ts";

beforeEach(() => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => vi.useRealTimers());

const log = createLogger({ workload: "test", instance: "1", version: "test", level: "silent" });
const cart = { instance: "cart-1", version: "v1", host: "127.0.0.1", port: 1 };

/** One stream, as control sees it. */
interface Stream {
  readonly requests: StreamResourcesRequest[];
  send(
    version: bigint,
    endpoints: Readonly<Record<string, readonly (typeof cart)[]>>,
    trust?: TrustBundle,
  ): Promise<void>;
  fail(): Promise<void>;
}

/** Lets what waits for promises and turns of the loop happen. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await nextTurn();
}

function start() {
  const streams: Stream[] = [];
  const trusted: TrustBundle[] = [];
  const endpoints = new ControlEndpoints({ instance: "orders-1", log, onTrust: (bundle) => trusted.push(bundle) });
  const streamResources = async function* (
    incoming: AsyncIterable<StreamResourcesRequest>,
  ): AsyncGenerator<StreamResourcesResponse> {
    const bell = createSignal();
    const requests: StreamResourcesRequest[] = [];
    const responses: StreamResourcesResponse[] = [];
    let failed = false;
    streams.push({
      requests,
      send(version, of, trust) {
        const clusters = Object.entries(of).map(([service, known]) => ({
          service,
          endpoints: known,
          split: undefined,
          faults: [],
        }));
        responses.push({ version, clusters, trust });
        bell.ring();
        return settle();
      },
      fail() {
        failed = true;
        bell.ring();
        return settle();
      },
    });
    void (async () => {
      for await (const request of incoming) requests.push(request);
    })();
    for (;;) {
      const rung = bell.next();
      const response = responses.shift();
      if (failed) throw new Error("the stream broke");
      if (response !== undefined) yield response;
      else await rung;
    }
  };
  const follow = (): void =>
    endpoints.follow({ discovery: { streamResources }, background: (options) => backgroundCall(options, log) });
  return { endpoints, streams, trusted, follow };
}

/** What a service's watcher is told, as the names of its instances. */
function told(endpoints: ControlEndpoints, owner: string): string[][] {
  const seen: string[][] = [];
  endpoints.watch(owner, (cluster: Cluster) => seen.push(cluster.endpoints.map(({ instance }) => instance ?? "")));
  return seen;
}

test("wants what is watched, more as that grows, and says what is in force", async () => {
  const { endpoints, streams, follow } = start();
  told(endpoints, "cart");
  follow();
  await settle();
  const [stream] = streams;
  expect(stream?.requests).toEqual([{ services: ["cart"], acknowledgedVersion: 0n, instance: "orders-1" }]);
  await stream?.send(7n, { cart: [cart] });
  told(endpoints, "catalog");
  told(endpoints, "cart");
  await settle();
  expect(stream?.requests.slice(1)).toEqual([
    { services: ["cart"], acknowledgedVersion: 7n, instance: "orders-1" },
    { services: ["cart", "catalog"], acknowledgedVersion: 7n, instance: "orders-1" },
  ]);
  endpoints.close();
});

test("tells each change of a service once, to those who watch it, and to late ones what is known", async () => {
  const { endpoints, streams, trusted, follow } = start();
  const [carts, catalogs] = [told(endpoints, "cart"), told(endpoints, "catalog")];
  follow();
  await settle();
  await streams[0]?.send(1n, { cart: [cart], catalog: [] });
  await streams[0]?.send(2n, { cart: [cart], catalog: [] }, { certificates: ["a"], generation: 1n });
  await streams[0]?.send(3n, { cart: [cart, { ...cart, instance: "cart-2", port: 2 }], catalog: [] });
  expect(carts).toEqual([["cart-1"], ["cart-1", "cart-2"]]);
  expect(catalogs).toEqual([[]]);
  expect(told(endpoints, "cart")).toEqual([["cart-1", "cart-2"]]);
  expect(trusted).toEqual([{ certificates: ["a"], generation: 1n }]);
  endpoints.close();
});

test("keeps what it knew when control is lost, and asks again when it is back", async () => {
  const { endpoints, streams, follow } = start();
  const carts = told(endpoints, "cart");
  follow();
  await settle();
  await streams[0]?.send(9n, { cart: [cart] });
  await streams[0]?.fail();
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(carts).toEqual([["cart-1"]]);
  expect(told(endpoints, "cart")).toEqual([["cart-1"]]);
  const again = streams.at(-1);
  // Another control plane, maybe: nothing that it said is in force yet.
  expect(again?.requests[0]).toEqual({ services: ["cart"], acknowledgedVersion: 0n, instance: "orders-1" });
  await again?.send(10n, { cart: [] });
  expect(carts).toEqual([["cart-1"], []]);
  endpoints.close();
});

test("says after ten seconds that nobody is known, when control was never heard of", async () => {
  const { endpoints, follow } = start();
  const carts = told(endpoints, "cart");
  follow();
  await vi.advanceTimersByTimeAsync(9_999);
  expect(carts).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(carts).toEqual([[]]);
  expect(told(endpoints, "catalog")).toEqual([[]]);
  endpoints.close();
});
