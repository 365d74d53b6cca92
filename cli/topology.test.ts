import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type BuiltFolder, builtFolder, servicesWithData } from "./testing/built-folder.ts";
import { countInstances, findKinds, instanceName, type Kind } from "./topology.ts";

let built: BuiltFolder;
let kinds: readonly Kind[];

beforeAll(() => {
  built = builtFolder();
  kinds = findKinds(built.programsDir);
});

afterAll(() => built.remove());

test("runs every service that was built, a new one too", () => {
  const services = kinds.filter(({ isService }) => isService).map(({ name }) => name);
  expect(services.toSorted()).toEqual([...servicesWithData, "control", "gateway", "greeter"].toSorted());
  expect(kinds.filter(({ ownsData }) => ownsData).map(({ name }) => name)).toHaveLength(servicesWithData.length);
});

test("stops the door first, callers before those they call, and control last", () => {
  const tiers = new Map<number, string[]>();
  for (const { name, tier } of kinds) tiers.set(tier, [...(tiers.get(tier) ?? []), name]);
  expect([...tiers.values()].map((names) => names.toSorted())).toEqual([
    ["gateway"],
    ["greeter", "orders"],
    ["cart", "payments"],
    ["catalog", "identity", "inventory", "notifications", "shipping"],
    ["mailbox", "payment-gateway"],
    ["control"],
  ]);
});

test("numbers the instances of a service, and not what there is but one of", () => {
  const name = (kind: string, number: number) => {
    const found = kinds.find((one) => one.name === kind);
    return found === undefined ? undefined : instanceName(found, number);
  };
  expect([name("cart", 1), name("cart", 2), name("gateway", 1)]).toEqual(["cart-1", "cart-2", "gateway-1"]);
  expect([name("control", 1), name("payment-gateway", 1)]).toEqual(["control", "payment-gateway"]);
});

test("counts one of each, unless told otherwise", () => {
  const counts = countInstances(kinds, { orders: 2, gateway: 3 });
  expect(Object.fromEntries(counts)).toMatchObject({
    orders: 2,
    gateway: 3,
    cart: 1,
    control: 1,
    "payment-gateway": 1,
  });
});

test.each(["order", "control", "payment-gateway"])("refuses several instances of %s", (name) => {
  expect(() => countInstances(kinds, { [name]: 2 })).toThrow(
    `there is no service "${name}" to run several instances of`,
  );
});

test("says what is missing, and what to do, where nothing was built", () => {
  expect(() => findKinds(pathToFileURL(`${built.dir}/nowhere/`))).toThrow(
    /main\.js is missing: build first, with npm run build$/,
  );
});
