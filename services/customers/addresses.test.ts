import { afterAll, beforeAll, expect, test } from "vitest";
import { newId } from "#mesh/ids.ts";
import type { User } from "#mesh/rpc/call.ts";
import { MAX_ADDRESSES } from "./domain.ts";
import { peopleOf, startTestCustomers, type TestCustomers, WORKSHOP } from "./testing/customers.ts";

let customers: TestCustomers;
beforeAll(async () => {
  customers = await startTestCustomers();
});
afterAll(() => customers?.close());

const { addresses, as, change, client, get, keep, person } = peopleOf(() => customers);

const update = (user: Partial<User>, addressId: string, updateMask: string[], etag = "") =>
  client().try.updateAddress(
    { requestId: newId("req"), addressId, label: "Home", address: { ...WORKSHOP, city: "Ockham" }, updateMask, etag },
    as(user),
  );
const forget = (user: Partial<User>, addressId: string) =>
  client().deleteAddress({ requestId: newId("req"), addressId }, as(user));

test("addresses are kept whole, and listed page by page with the newest first", async () => {
  const user = person("guest");
  const kept = [
    await keep(user, "One"),
    await keep(user, "Two"),
    await keep(user, "Three", { ...WORKSHOP, lines: ["x"] }),
  ];
  expect(kept[0]).toMatchObject({ label: "One", address: WORKSHOP, etag: "1" });
  const first = await client().listAddresses({ customerId: "", pageSize: 2, pageToken: "" }, as(user));
  expect(first.addresses.map(({ label }) => label)).toEqual(["Three", "Two"]);
  const next = { customerId: "", pageSize: 2, pageToken: first.nextPageToken };
  expect(await client().listAddresses(next, as(user))).toMatchObject({
    addresses: [{ label: "One" }],
    nextPageToken: "",
  });
  const stranger = await client().try.listAddresses(next, as(person()));
  expect(stranger).toMatchObject({ ok: false, error: { reason: "INVALID_PAGE_TOKEN" } });
});

test("a malformed address is refused, field by field", async () => {
  const address = { ...WORKSHOP, recipient: "", countryCode: "gb" };
  const result = await client().try.createAddress({ requestId: newId("req"), label: "", address }, as(person()));
  if (result.ok) throw new Error("it was admitted");
  expect(result.error.violations.map(({ field }) => field).sort()).toEqual([
    "address.country_code",
    "address.recipient",
  ]);
});

test("an update sets what its mask names, and wants an address only when it names it", async () => {
  const user = person();
  const { id, etag } = await keep(user);
  expect(await update(user, id, ["label"], etag)).toMatchObject({
    ok: true,
    value: { address: { label: "Home", address: WORKSHOP } },
  });
  expect(await update(user, id, ["label"], etag)).toMatchObject({ ok: false, error: { reason: "ETAG_MISMATCH" } });
  expect(await update(user, id, ["address"])).toMatchObject({
    ok: true,
    value: { address: { label: "Home", address: { city: "Ockham" } } },
  });
  expect(await update(user, id, ["address.city"])).toMatchObject({
    ok: false,
    error: { reason: "UPDATE_PATH_UNKNOWN", metadata: { path: "address.city" } },
  });
  const request = {
    requestId: newId("req"),
    addressId: id,
    label: "",
    address: undefined,
    updateMask: ["address"],
    etag: "",
  };
  expect(await client().try.updateAddress(request, as(user))).toMatchObject({
    ok: false,
    error: { reason: "INVALID_REQUEST" },
  });
});

test("somebody else's address is not found, and a deletion of it changes nothing", async () => {
  const [owner, other] = [person(), person()];
  const { id } = await keep(owner);
  expect(await update(other, id, ["label"])).toMatchObject({
    ok: false,
    error: { code: "NOT_FOUND", reason: "ADDRESS_NOT_FOUND" },
  });
  await forget(other, id);
  expect(await addresses(owner)).toHaveLength(1);
  expect(await addresses(person("customer", "support"), owner.id)).toHaveLength(1);
});

test("an address that is deleted is no default any more, and can be deleted again", async () => {
  const user = person();
  const { id } = await keep(user);
  await change(user, { defaultAddressId: id });
  const { etag } = await get(user);
  await forget(user, id);
  await forget(user, id);
  expect(await addresses(user)).toEqual([]);
  const profile = await get(user);
  expect(profile.defaultAddressId).toBe("");
  expect(profile.etag).not.toBe(etag);
});

test("of additions at once as many are kept as there is room for", async () => {
  const user = person();
  for (let at = 0; at < MAX_ADDRESSES - 3; at += 1) await keep(user);
  const results = await Promise.all(
    Array.from({ length: 10 }, () =>
      client().try.createAddress({ requestId: newId("req"), label: "", address: WORKSHOP }, as(user)),
    ),
  );
  expect(results.filter(({ ok }) => ok)).toHaveLength(3);
  expect(results.filter((result) => !result.ok && result.error.reason === "TOO_MANY_ADDRESSES")).toHaveLength(7);
  expect(await addresses(user)).toHaveLength(MAX_ADDRESSES);
});

test("an address that is deleted while it becomes the default leaves none that is not there", async () => {
  for (let round = 0; round < 10; round += 1) {
    const user = person();
    const { id } = await keep(user);
    await Promise.all([change(user, { defaultAddressId: id }), forget(user, id)]);
    expect((await get(user)).defaultAddressId).toBe("");
  }
});
