import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Erasure_State } from "#gen/shop/customers/v1/customer.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { newId } from "#mesh/ids.ts";
import { findTraces, textsIn } from "#testing/traces.ts";
import { TOKENS_EXPIRE_AFTER_MS } from "./domain-erasure.ts";
import { peopleOf, startTestCustomers, type TestCustomers, WORKSHOP } from "./testing/customers.ts";
import { RECORDS } from "./testing/fake-services.ts";

let customers: TestCustomers;
beforeAll(async () => {
  customers = await startTestCustomers();
});
afterAll(() => customers?.close());

const { addresses, as, change, client, erase, erasure, get, keep, person } = peopleOf(() => customers);
const holder = (name: string) => {
  const found = customers.holders.get(name);
  if (found === undefined) throw new Error(`no holder ${name}`);
  return found;
};
const names = () => [...customers.holders.keys()];

/** Nothing that a test waits for takes longer. */
const patience = { interval: 10, timeout: 15_000 };
const reaches = async (id: string, state: Erasure_State) => {
  await expect.poll(async () => (await erasure(id)).state, patience).toBe(state);
  return erasure(id);
};
/** The same while time goes by, so that whoever waits is asked again. */
const reachesInTime = async (id: string, state: Erasure_State) => {
  const pass = async () => {
    customers.clock.advance(60_000);
    return (await erasure(id)).state;
  };
  await expect.poll(pass, patience).toBe(state);
  return erasure(id);
};
const askedOf = (name: string, customerId: string) =>
  holder(name).asked.filter((request) => request.customerId === customerId);

test("all services are asked, twice, the second time when the last access token has expired", async () => {
  const user = person();
  await change(user, { displayName: "Ada" });
  await keep(user);
  const begun = await erase(user);
  expect(begun).toMatchObject({ customerId: user.id, doneTime: undefined });
  const verifying = await reaches(begun.id, Erasure_State.VERIFYING);
  expect(verifying.services.map(({ service }) => service)[0]).toBe("customers");
  for (const name of names()) expect(askedOf(name, user.id)).toEqual([{ requestId: begun.id, customerId: user.id }]);

  holder("cart").records.set(user.id, 1);
  customers.clock.advance(TOKENS_EXPIRE_AFTER_MS - 1);
  expect((await erasure(begun.id)).state).toBe(Erasure_State.VERIFYING);
  customers.clock.advance(1);
  const done = await reaches(begun.id, Erasure_State.DONE);
  for (const name of names()) expect(askedOf(name, user.id)).toHaveLength(2);
  expect(done.doneTime).toBeDefined();
  const erasures = Object.fromEntries(done.services.map(({ service, erasures: places }) => [service, places]));
  expect(erasures).toMatchObject({
    customers: [
      { place: "customers.customers", erasedCount: 1n, leftCount: 0n },
      { place: "customers.addresses", erasedCount: 1n, leftCount: 0n },
      { place: "customers.once_requests", erasedCount: 2n, leftCount: 0n },
    ],
    cart: [{ place: "cart.things", erasedCount: BigInt(RECORDS + 1), leftCount: 0n }],
    orders: [{ place: "orders.things", erasedCount: BigInt(RECORDS), leftCount: 0n }],
  });
});

test("nothing of what was told is left, in a table or in the log", async () => {
  const user = person("guest");
  const { id } = await keep(user, "Aunt Augusta's", WORKSHOP);
  await change(user, { displayName: "Countess of Lovelace", phone: "+44 1234 567890", defaultAddressId: id });
  const told = ["Augusta", "Countess", "Lovelace", "567890", "Analytical Lane", "Marylebone", "7946 0018"];
  expect(await findTraces(customers.database.db, told)).not.toEqual([]);
  const begun = await erase(user);
  await reaches(begun.id, Erasure_State.VERIFYING);
  expect(await findTraces(customers.database.db, told)).toEqual([]);
  expect(textsIn(JSON.stringify(customers.mesh.logs), told)).toEqual([]);
  expect(customers.mesh.logs.length).toBeGreaterThan(0);
});

test("who is erased keeps nothing new with the token they still have", async () => {
  const user = person();
  const { id: addressId } = await keep(user);
  await erase(user);
  const erased = { ok: false, error: { code: "FAILED_PRECONDITION", reason: "CUSTOMER_ERASED" } };
  expect(await change(user, { displayName: "Ada" })).toMatchObject(erased);
  const address = { requestId: newId("req"), label: "", address: WORKSHOP };
  expect(await client().try.createAddress(address, as(user))).toMatchObject(erased);
  const update = { ...address, addressId, updateMask: ["label"], etag: "" };
  expect(await client().try.updateAddress(update, as(user))).toMatchObject(erased);
  await client().deleteAddress({ requestId: newId("req"), addressId }, as(user));
  expect(await addresses(user)).toEqual([]);
  expect(await get(user)).toMatchObject({ id: user.id, displayName: "", createTime: undefined });
});

test("changes and erasures at once leave nothing, and make one erasure", async () => {
  for (let round = 0; round < 5; round += 1) {
    const user = person();
    await keep(user);
    const [first, second, byAdmin] = await Promise.all([
      ...[erase(user), erase(user), erase(person("customer", "admin"), user.id)],
      ...Array.from({ length: 5 }, (_, at) => change(user, { displayName: `Countess ${at}` })),
      ...Array.from({ length: 5 }, () => keep(user).catch(() => undefined)),
    ]);
    expect([second, byAdmin].map((one) => (one !== undefined && "id" in one ? one.id : ""))).toEqual([
      ...[first, first].map((one) => (one !== undefined && "id" in one ? one.id : "none")),
    ]);
    expect(await findTraces(customers.database.db, ["Countess", "Marylebone"])).toEqual([]);
  }
});

describe("somebody else's erasure", () => {
  test("is begun by administrators alone", async () => {
    const user = person();
    for (const caller of [person(), person("customer", "support")]) {
      await expect(erase(caller, user.id)).rejects.toMatchObject({ reason: "CUSTOMER_NOT_FOUND" });
    }
    expect((await erase(person("customer", "admin"), user.id)).customerId).toBe(user.id);
  });

  test("is not found, but for its person and for staff", async () => {
    const user = person();
    const { id } = await erase(user);
    expect((await client().getErasure({ erasureId: "" }, as(user))).erasure?.id).toBe(id);
    for (const [caller, erasureId] of [
      [person(), id],
      [person(), ""],
      [person("customer", "admin"), "era_x"],
    ] as const) {
      const result = await client().try.getErasure({ erasureId }, as(caller));
      expect(result).toMatchObject({ ok: false, error: { code: "NOT_FOUND", reason: "ERASURE_NOT_FOUND" } });
    }
  });
});

describe("a service", () => {
  test("that is away is asked again, and the answer says what came of the last try", async () => {
    let away = true;
    holder("payments").before = () => {
      if (away) throw meshFailure("SERVICE_UNAVAILABLE", "Ada Lovelace's payments are not to be had");
    };
    const { id } = await erase(person());
    const payments = async () => (await erasure(id)).services.find(({ service }) => service === "payments");
    await expect.poll(async () => (await payments())?.lastError, patience).toBe("UNAVAILABLE SERVICE_UNAVAILABLE");
    expect((await erasure(id)).state).toBe(Erasure_State.RUNNING);
    away = false;
    const { services } = await reachesInTime(id, Erasure_State.DONE);
    expect(services.find(({ service }) => service === "payments")).toMatchObject({ lastError: "" });
    expect((await payments())?.attempts).toBeGreaterThan(2);
  });

  test("that still needs something is waited for", async () => {
    const user = person();
    customers.orders.needed.set(user.id, 1);
    const { id } = await erase(user);
    const orders = async () => (await erasure(id)).services.find(({ service }) => service === "orders");
    await expect.poll(async () => (await orders())?.lastError, patience).toBe("orders.things: 1 still needed");
    customers.clock.advance(24 * 60 * 60_000);
    await expect.poll(async () => (await orders())?.attempts, patience).toBeGreaterThan(1);
    expect((await erasure(id)).state).toBe(Erasure_State.RUNNING);
    customers.orders.needed.delete(user.id);
    await reachesInTime(id, Erasure_State.DONE);
  });

  test("whose sessions end keeps all others waiting until they have", async () => {
    holder("identity").before = () => {
      throw meshFailure("SERVICE_UNAVAILABLE", "not here");
    };
    const { id, customerId } = await erase(person());
    await expect
      .poll(async () => (await erasure(id)).services.find((one) => one.service === "identity")?.attempts, patience)
      .toBe(1);
    expect(names().flatMap((name) => askedOf(name, customerId))).toEqual([]);
    holder("identity").before = () => {};
    await reachesInTime(id, Erasure_State.DONE);
  });
});
