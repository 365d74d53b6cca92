import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { ExportCustomerDataResponse } from "#gen/shop/customers/v1/customer_service.ts";
import { holdersBy } from "./holders.ts";
import { peopleOf, startTestCustomers, type TestCustomers, WORKSHOP } from "./testing/customers.ts";
import { holderContracts } from "./testing/fake-services.ts";

let customers: TestCustomers;
beforeAll(async () => {
  customers = await startTestCustomers();
});
afterAll(() => customers?.close());
beforeEach(() => {
  for (const holder of customers.holders.values()) holder.before = () => {};
});

const { as, change, client, keep, person } = peopleOf(() => customers);

async function exported(user: ReturnType<typeof person>, customerId = "") {
  const answers: ExportCustomerDataResponse[] = [];
  for await (const answer of client().exportCustomerData({ customerId }, as(user))) answers.push(answer);
  return answers;
}

test("every service whose contract can erase is asked, and no other", () => {
  const asked = holdersBy(customers.mesh.mesh("customers")).map(({ service }) => service);
  expect(asked.toSorted()).toEqual(holderContracts.map(({ owner }) => owner).toSorted());
  expect(asked.length).toBeGreaterThan(4);
});

test("gives out what is here and what the other services hold, and then says that it was all", async () => {
  const user = person();
  await change(user, { displayName: "Ada" });
  await keep(user, "Workshop");
  customers.orders.records.set(user.id, 250);
  const answers = await exported(user);
  expect(answers.at(-1)).toEqual({ service: "", record: undefined, complete: true });
  expect(answers.filter(({ complete }) => complete)).toHaveLength(1);
  const records = answers.flatMap(({ service, record }) => (record === undefined ? [] : [{ service, ...record }]));
  expect(JSON.parse(records[0]?.json ?? "")).toMatchObject({ displayName: "Ada" });
  expect(records[1]).toMatchObject({ service: "customers", kind: "address" });
  expect(JSON.parse(records[1]?.json ?? "")).toMatchObject({ label: "Workshop", address: WORKSHOP });
  const count = (name: string) => records.filter(({ service }) => service === name).length;
  const counts = Object.fromEntries([...customers.holders.keys()].map((name) => [name, count(name)]));
  expect(counts).toEqual({ cart: 2, identity: 2, notifications: 2, orders: 250, payments: 2, shipping: 2 });
});

test.each(["identity", "notifications"])("leaves nothing out silently when %s is away", async (name) => {
  const holder = customers.holders.get(name);
  if (holder === undefined) throw new Error("no such holder");
  holder.before = () => {
    throw new Error("a defect");
  };
  await expect(exported(person())).rejects.toMatchObject({
    ...{ code: "UNAVAILABLE", reason: "EXPORT_INCOMPLETE", metadata: { service: name } },
  });
});

test("leaves nothing out silently when a service breaks off", async () => {
  customers.orders.after = () => {
    throw new Error("a defect");
  };
  await expect(exported(person())).rejects.toMatchObject({ reason: "EXPORT_INCOMPLETE" });
  customers.orders.after = () => {};
});

test("of somebody else is for administrators alone", async () => {
  const user = person();
  await change(user, { displayName: "Ada" });
  expect((await exported(person("customer", "admin"), user.id))[0]?.record?.json).toContain("Ada");
  await expect(exported(person("customer", "support"), user.id)).rejects.toMatchObject({
    reason: "CUSTOMER_NOT_FOUND",
  });
});
