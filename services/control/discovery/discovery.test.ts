import { afterEach, beforeEach, expect, test } from "vitest";
import { InstanceState } from "#gen/mesh/v1/instance.ts";
import { startControl, type TestControl } from "../testing/control.ts";

let control: TestControl;

beforeEach(async () => {
  control = await startControl();
});
afterEach(() => control.close());

test("a new instance is told to whoever watches its service, and gone when its stream breaks", async () => {
  const watch = await control.watch(["cart"]);
  expect(watch.instances("cart")).toEqual([]);
  const registration = await control.register();
  const told = await watch.next();
  expect(told.clusters).toMatchObject([
    { service: "cart", endpoints: [{ instance: "cart-1", version: "v1", host: "127.0.0.1", port: 4001 }] },
  ]);
  registration.leave();
  await watch.next();
  expect(watch.instances("cart")).toEqual([]);
});

test("versions grow with each change", async () => {
  const watch = await control.watch(["cart"]);
  await control.register({ name: "cart-1" });
  await watch.next();
  await control.register({ name: "cart-2" });
  await watch.next();
  const versions = watch.responses.map(({ version }) => version);
  expect(versions).toEqual(versions.toSorted((a, b) => (a < b ? -1 : 1)));
  expect(new Set(versions).size).toBe(3);
});

test("changes that come together are sent together", async () => {
  const watch = await control.watch(["cart"]);
  await Promise.all([1, 2, 3, 4].map((number) => control.register({ name: `cart-${number}` })));
  while (watch.instances("cart").length < 4) await watch.next();
  expect(watch.responses.length).toBeLessThan(5);
});

test("who watches other services is not told", async () => {
  const orders = await control.watch(["orders"]);
  const cart = await control.watch(["cart"]);
  await control.register();
  await cart.next();
  await control.register({ service: "orders", name: "orders-1" });
  await orders.next();
  expect(orders.instances("orders")).toEqual(["orders-1"]);
  expect(orders.responses.length).toBe(2);
});

test("another subscription is answered at once, also when nothing changed", async () => {
  await control.register();
  const watch = await control.watch(["orders"]);
  watch.subscribe(["orders", "cart"]);
  const told = await watch.next();
  expect(told.clusters.map(({ service }) => service)).toEqual(["orders", "cart"]);
  expect(watch.instances("cart")).toEqual(["cart-1"]);
});

test("an instance that drains is taken from everybody before it is told that it is drained", async () => {
  const watch = await control.watch(["cart"], { acknowledges: false });
  const registration = await control.register();
  await watch.next();
  watch.acknowledge();
  expect((await registration.report(InstanceState.DRAINING)).drained).toBe(false);
  await watch.next();
  expect(watch.instances("cart")).toEqual([]);
  let drained = false;
  const last = registration.next().then((response) => {
    drained = response.drained;
  });
  expect(drained).toBe(false);
  watch.acknowledge();
  await last;
  expect(drained).toBe(true);
});

test("a watcher that reads nothing holds up nobody, and reads the last state when it reads again", async () => {
  const changes = 60;
  const asleep = await control.watch(["cart", "big"]);
  const awake = await control.watch(["cart"]);
  // A state so large that a few of them fill what a connection takes unread.
  const big = Array.from({ length: 150 }, (_, number) => ({ service: "big", name: `big-${number}` }));
  await Promise.all(big.map((names) => control.register({ ...names, host: "h".repeat(253) })));
  const registration = await control.register();
  await awake.next();
  for (let change = 0; change < changes; change += 1) {
    await registration.report(change % 2 === 0 ? InstanceState.NOT_SERVING : InstanceState.SERVING);
    await awake.next();
  }
  await registration.report(InstanceState.NOT_SERVING);
  const { version } = await awake.next();
  while ((asleep.responses.at(-1)?.version ?? 0n) < version) await asleep.next();
  expect(asleep.instances("cart")).toEqual([]);
  expect(asleep.instances("big")).toHaveLength(big.length);
  expect(asleep.responses.length).toBeLessThan(changes);
});

test("more instances of one service are there than any other service takes streams of one caller", async () => {
  const names = Array.from({ length: 300 }, (_, number) => `cart-${number}`);
  await Promise.all(names.map((name) => control.register({ name })));
  const watch = await control.watch(["cart"], { caller: "cart" });
  expect(watch.instances("cart")).toHaveLength(names.length);
});
