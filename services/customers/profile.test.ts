import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CustomerService } from "#gen/shop/customers/v1/customer_service.contract.ts";
import { newId } from "#mesh/ids.ts";
import { peopleOf, startTestCustomers, type TestCustomers } from "./testing/customers.ts";

let customers: TestCustomers;
beforeAll(async () => {
  customers = await startTestCustomers();
});
afterAll(() => customers?.close());

const { as, change, client, get, keep, person } = peopleOf(() => customers);

test.each(["guest", "customer"] as const)("a %s who never told anything has an empty profile", async (kind) => {
  const user = person(kind);
  expect(await get(user)).toEqual({
    id: user.id,
    displayName: "",
    phone: "",
    languageCode: "",
    defaultAddressId: "",
    createTime: undefined,
    updateTime: undefined,
    etag: "0",
  });
});

test("what is told is kept, field by field", async () => {
  const user = person();
  await change(user, { displayName: "Ada", phone: "+44 20 7946 0018" });
  customers.clock.advance(60_000);
  const result = await change(user, { languageCode: "en-GB", displayName: "Countess" });
  const profile = await get(user);
  expect(result).toMatchObject({ ok: true, value: { customer: profile } });
  expect(profile).toMatchObject({ displayName: "Countess", phone: "+44 20 7946 0018", languageCode: "en-GB" });
  expect(Number(profile.updateTime) - Number(profile.createTime)).toBe(60_000);
});

test("a mask of unknown paths, and none, are refused", async () => {
  const user = person();
  const request = { requestId: newId("req"), customer: undefined, etag: "" };
  const customer = { displayName: "Ada", phone: "", languageCode: "", defaultAddressId: "" };
  for (const updateMask of [["etag"], []]) {
    const result = await client().try.updateCustomer({ ...request, customer, updateMask }, as(user));
    expect(result).toMatchObject({
      ok: false,
      error: { code: "INVALID_ARGUMENT", reason: "UPDATE_PATH_UNKNOWN", metadata: { path: updateMask[0] ?? "" } },
    });
  }
  expect((await get(user)).createTime).toBeUndefined();
});

describe("an etag", () => {
  test("of the version that is there lets the update through, and gives the next one", async () => {
    const user = person();
    const first = await change(user, { displayName: "Ada" }, { etag: (await get(user)).etag });
    if (!first.ok) throw first.error;
    expect(await change(user, { phone: "1" }, { etag: first.value.customer?.etag })).toMatchObject({ ok: true });
    expect(await change(user, { phone: "2" }, { etag: first.value.customer?.etag })).toMatchObject({
      ok: false,
      error: { code: "ABORTED", reason: "ETAG_MISMATCH" },
    });
    expect((await get(user)).phone).toBe("1");
  });

  test("of one version lets one of many updates at once through, of a first one too", async () => {
    const user = person();
    for (const round of [1, 2]) {
      const { etag } = await get(user);
      const results = await Promise.all(
        Array.from({ length: 10 }, (_, at) => change(user, { displayName: `Ada ${round}.${at}` }, { etag })),
      );
      expect(results.filter(({ ok }) => ok)).toHaveLength(1);
    }
  });

  test("may be left out, and updates of different fields at once all count", async () => {
    const user = person();
    await Promise.all([
      change(user, { displayName: "Ada" }),
      change(user, { phone: "1" }),
      change(user, { languageCode: "en" }),
    ]);
    expect(await get(user)).toMatchObject({ displayName: "Ada", phone: "1", languageCode: "en", etag: "3" });
  });
});

test("a default address is one of the customer's own", async () => {
  const [owner, other] = [person(), person()];
  const { id } = await keep(owner);
  expect(await change(other, { defaultAddressId: id })).toMatchObject({
    ok: false,
    error: { code: "NOT_FOUND", reason: "ADDRESS_NOT_FOUND" },
  });
  expect(await change(owner, { defaultAddressId: id })).toMatchObject({ ok: true });
  expect((await get(owner)).defaultAddressId).toBe(id);
  expect(await change(owner, { defaultAddressId: "" })).toMatchObject({ ok: true });
  expect((await get(owner)).defaultAddressId).toBe("");
});

describe("somebody else's profile", () => {
  test("is not found, whether there is one or not", async () => {
    const [owner, other] = [person(), person()];
    await change(owner, { displayName: "Ada" });
    for (const customerId of [owner.id, newId("usr"), "nobody"]) {
      for (const caller of [other, person("guest"), person("customer", "warehouse")]) {
        const result = await client().try.getCustomer({ customerId }, as(caller));
        expect(result).toMatchObject({ ok: false, error: { code: "NOT_FOUND", reason: "CUSTOMER_NOT_FOUND" } });
      }
    }
  });

  test.each(["admin", "support"])("is shown to the role %s", async (role) => {
    const owner = person();
    await change(owner, { displayName: "Ada" });
    expect(await get(person("customer", role), owner.id)).toMatchObject({ id: owner.id, displayName: "Ada" });
    const result = await client().try.getCustomer({ customerId: "usr_x" }, as(person("customer", role)));
    expect(result).toMatchObject({ ok: false, error: { reason: "CUSTOMER_NOT_FOUND" } });
  });

  test("is shown to the operator, who must name them", async () => {
    const operator = customers.mesh.mesh("operator");
    const call = () => operator.background({ name: "test", timeoutMs: 5_000 });
    const { id } = person();
    const found = await operator.client(CustomerService).getCustomer({ customerId: id }, call());
    expect(found.customer?.id).toBe(id);
    const unnamed = await operator.client(CustomerService).try.getCustomer({ customerId: "" }, call());
    expect(unnamed).toMatchObject({ ok: false, error: { code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST" } });
  });
});
