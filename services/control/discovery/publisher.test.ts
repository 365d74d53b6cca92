import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { StreamResourcesRequest, StreamResourcesResponse } from "#gen/mesh/v1/discovery_service.ts";
import { type Requests, requests } from "../testing/streams.ts";
import { createBulletin, firstVersionOf, nextTerm } from "./domain.ts";
import { createPublisher, MAX_WATCHERS, MAX_WATCHERS_PER_SERVICE, type Publisher } from "./publisher.ts";

let publisher: Publisher;
let state: string;
let asked: number;

beforeEach(() => {
  vi.useFakeTimers();
  asked = 0;
  state = "first";
  publisher = createPublisher({
    bulletin: createBulletin(100n),
    clusterOf(service) {
      asked += 1;
      return { service: `${service} ${state}`, endpoints: [], split: undefined, faults: [] };
    },
    trust: () => ({ certificates: [], generation: 1n }),
    tooMany: () => new Error("too many"),
  });
});
afterEach(() => {
  publisher.close();
  vi.useRealTimers();
});

test("who does not take what is sent misses what comes between, and never more than that", async () => {
  const watcher = follow(["cart"]);
  await watcher.next();
  for (let change = 1; change <= 10; change += 1) {
    state = String(change);
    publisher.changed([{ service: "cart" }]);
    await vi.advanceTimersByTimeAsync(10);
  }
  const late = await watcher.next();
  expect(late.clusters).toMatchObject([{ service: "cart 10" }]);
  expect(late.version).toBe(110n);
  state = "after";
  publisher.changed([{ service: "cart" }]);
  await vi.advanceTimersByTimeAsync(10);
  expect((await watcher.next()).version).toBe(111n);
});

test("a service that changes without end is told of twenty times at once and five times a second, the last as it is", async () => {
  const watcher = follow(["cart", "orders"]);
  await watcher.next();
  const seen: StreamResourcesResponse[] = [];
  const watching = (async () => {
    for (;;) seen.push(await watcher.next());
  })().catch(() => undefined);
  for (let change = 1; change <= 1_000; change += 1) {
    state = String(change);
    publisher.changed([{ service: "cart" }]);
    await vi.advanceTimersByTimeAsync(10);
  }
  // Ten seconds: the burst, and fifty.
  expect(seen.length).toBeGreaterThanOrEqual(68);
  expect(seen.length).toBeLessThanOrEqual(70);
  await vi.advanceTimersByTimeAsync(205);
  for (const afterMs of [10, 0]) {
    publisher.changed([{ service: "cart" }]);
    await vi.advanceTimersByTimeAsync(afterMs);
  }
  const waits = publisher.published({ service: "cart" }).then(() => "cart");
  publisher.changed([{ service: "orders" }]);
  const other = publisher.published({ service: "orders" }).then(() => "orders");
  expect(await Promise.race([waits, other, vi.advanceTimersByTimeAsync(5).then(() => "too late")])).toBe("orders");
  await vi.advanceTimersByTimeAsync(200);
  expect(await waits).toBe("cart");
  expect(seen.at(-1)?.clusters).toMatchObject([{ service: "cart 1000" }, { service: "orders 1000" }]);
  await watcher.leave();
  await watching;
});

test("who subscribes without end is answered twenty times a second after the first, and in the end as it wants", async () => {
  const watcher = follow([]);
  await watcher.next();
  const seen: StreamResourcesResponse[] = [];
  const watching = (async () => {
    for (;;) seen.push(await watcher.next());
  })().catch(() => undefined);
  for (let change = 1; change <= 400; change += 1) watcher.subscribe([`cart-${change}`]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(seen.length).toBeLessThanOrEqual(251);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(seen.at(-1)?.clusters).toMatchObject([{ service: "cart-400 first" }]);
  await watcher.leave();
  await watching;
});

test("the state of a service is put together once a version, however many watch it", async () => {
  const watchers = Array.from({ length: 20 }, () => follow(["cart", "orders"]));
  await Promise.all(watchers.map((watcher) => watcher.next()));
  expect(asked).toBe(2);
  state = "second";
  publisher.changed([{ service: "cart" }]);
  await vi.advanceTimersByTimeAsync(5);
  const next = await Promise.all(watchers.map((watcher) => watcher.next()));
  expect(asked).toBe(4);
  for (const { clusters } of next) expect(clusters[0]).toMatchObject({ service: "cart second" });
});

test("a change waits a few milliseconds for others, and goes out with them", async () => {
  const watcher = follow(["cart", "orders"]);
  await watcher.next();
  let told = 0n;
  void watcher.next().then(({ version }) => {
    told = version;
  });
  publisher.changed([{ service: "cart" }]);
  await vi.advanceTimersByTimeAsync(4);
  publisher.changed([{ service: "orders" }]);
  expect(told).toBe(0n);
  await vi.advanceTimersByTimeAsync(1);
  expect(told).toBe(101n);
});

test("who never acknowledges is waited for until the time is up, and no longer", async () => {
  const deaf = follow(["cart"]);
  const other = follow(["orders"]);
  await Promise.all([deaf.next(), other.next()]);
  publisher.changed([{ service: "cart" }]);
  let outcome: boolean | undefined;
  void publisher.acknowledged({ service: "cart" }, 2_000).then((all) => {
    outcome = all;
  });
  await vi.advanceTimersByTimeAsync(2_004);
  expect(outcome).toBe(undefined);
  await vi.advanceTimersByTimeAsync(1);
  expect(outcome).toBe(false);
});

test("whoever leaves is waited for no more, and an acknowledgement of something older counts for nothing", async () => {
  const slow = follow(["cart"]);
  const leaving = follow(["cart"]);
  const [{ version: before }] = await Promise.all([slow.next(), leaving.next()]);
  publisher.changed([{ service: "cart" }]);
  let outcome: boolean | undefined;
  void publisher.acknowledged({ service: "cart" }, 2_000).then((all) => {
    outcome = all;
  });
  await vi.advanceTimersByTimeAsync(10);
  const { version } = await slow.next();
  slow.acknowledge(before);
  slow.acknowledge(version + 1_000n);
  await vi.advanceTimersByTimeAsync(10);
  slow.acknowledge(version);
  await vi.advanceTimersByTimeAsync(10);
  expect(outcome).toBe(undefined);
  await leaving.leave();
  expect(outcome).toBe(true);
});

test("nobody is waited for who does not watch the service, or has the present state already", async () => {
  await follow(["orders"]).next();
  publisher.changed([{ service: "cart" }]);
  const known = publisher.acknowledged({ service: "cart" }, 2_000);
  await vi.advanceTimersByTimeAsync(5);
  expect(await known).toBe(true);
});

test("there is room for a thousand watchers, and for another one when one has left", async () => {
  const watchers = Array.from({ length: MAX_WATCHERS }, (_, at) => follow(["cart"], at % 2 === 0 ? "cart" : "orders"));
  await Promise.all(watchers.map((watcher) => watcher.next()));
  await expect(follow(["cart"]).next()).rejects.toThrow("too many");
  await watchers[0]?.leave();
  await follow(["cart"]).next();
});

test("one service holds half of them, and leaves room for the others", async () => {
  const watchers = Array.from({ length: MAX_WATCHERS_PER_SERVICE }, () => follow(["cart"], "cart"));
  await Promise.all(watchers.map((watcher) => watcher.next()));
  await expect(follow(["cart"], "cart").next()).rejects.toThrow("too many");
  await follow(["cart"], "orders").next();
  await watchers[0]?.leave();
  await follow(["cart"], "cart").next();
});

test("the versions of a term are above those of every term before, also when the clock went back", () => {
  const noon = new Date("2026-11-22T12:00:00Z");
  const first = nextTerm(0, noon);
  expect(nextTerm(first, new Date(noon.getTime() - 3_600_000))).toBe(first + 1);
  expect(nextTerm(first, noon)).toBe(first + 1);
  expect(firstVersionOf(first + 1) - firstVersionOf(first)).toBeGreaterThan(16_000_000n);
  expect(firstVersionOf(nextTerm(0, new Date("2100-01-01T00:00:00Z")))).toBeLessThan(2n ** 63n);
});

interface Watcher {
  next(): Promise<StreamResourcesResponse>;
  subscribe(services: readonly string[]): void;
  acknowledge(version: bigint): void;
  leave(): Promise<void>;
}

function follow(services: readonly string[], workload = "gateway"): Watcher {
  let wanted = services;
  const request = (acknowledgedVersion: bigint): StreamResourcesRequest => ({
    services: wanted,
    acknowledgedVersion,
    instance: "",
  });
  const sent: Requests<StreamResourcesRequest> = requests(request(0n));
  const ending = new AbortController();
  const answers = publisher.follow(workload, sent, ending.signal);
  const next = async (): Promise<StreamResourcesResponse> => {
    const answer = await answers.next();
    if (answer.done === true) throw new Error("the stream has ended");
    return answer.value;
  };
  return {
    next,
    subscribe(others) {
      wanted = others;
      sent.send(request(0n));
    },
    acknowledge: (version) => sent.send(request(version)),
    async leave() {
      ending.abort();
      await answers.return(undefined);
    },
  };
}
