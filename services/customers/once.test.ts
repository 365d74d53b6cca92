import { afterAll, beforeAll } from "vitest";
import { CustomerService } from "#gen/shop/customers/v1/customer_service.contract.ts";
import { newId } from "#mesh/ids.ts";
import { type Caller, person, testOnce } from "#testing/once.ts";
import { peopleOf, startTestCustomers, type TestCustomers, WORKSHOP } from "./testing/customers.ts";

let customers: TestCustomers;
beforeAll(async () => {
  customers = await startTestCustomers();
});
afterAll(() => customers?.close());

const { addresses, as, change, client, get, keep } = peopleOf(() => customers);
const callers = () => [person(), person()] as const;
const userOf = ({ user }: Caller) => user ?? {};
const labels = (caller: Caller) => async () => (await addresses(userOf(caller))).map(({ label }) => label);

const ADA = { displayName: "Ada", phone: "", languageCode: "", defaultAddressId: "" };

testOnce(CustomerService, () => customers.mesh, {
  updateCustomer: {
    callers,
    prepare: async (caller, requestId) => {
      const request = { requestId, customer: ADA, updateMask: ["display_name"], etag: "" };
      return {
        request,
        other: () => ({ ...request, customer: { ...ADA, displayName: "Countess" } }),
        meanwhile: () => change(userOf(caller), { displayName: "Byron" }),
        effect: async () => {
          const { displayName, etag } = await get(userOf(caller));
          return { displayName, etag };
        },
        once: { displayName: "Ada", etag: "1" },
      };
    },
  },
  createAddress: {
    callers,
    prepare: async (caller, requestId) => {
      const request = { requestId, label: "Workshop", address: WORKSHOP };
      return {
        request,
        other: () => ({ ...request, label: "Home" }),
        effect: labels(caller),
        once: ["Workshop"],
      };
    },
  },
  updateAddress: {
    callers,
    prepare: async (caller, requestId) => {
      const { id } = await keep(userOf(caller), "Before");
      const request = { requestId, addressId: id, label: "After", address: undefined, updateMask: ["label"], etag: "" };
      return {
        request,
        other: () => ({ ...request, label: "Another" }),
        meanwhile: () =>
          client().updateAddress({ ...request, requestId: newId("req"), label: "Later" }, as(userOf(caller))),
        effect: labels(caller),
        once: ["After"],
      };
    },
  },
  deleteAddress: {
    callers,
    prepare: async (caller, requestId) => {
      const { id } = await keep(userOf(caller), "One");
      const other = await keep(userOf(caller), "Two");
      const request = { requestId, addressId: id };
      return { request, other: () => ({ ...request, addressId: other.id }), effect: labels(caller), once: ["Two"] };
    },
  },
  eraseCustomer: {
    callers: () => [person("admin"), person("admin")],
    prepare: async (_, requestId) => {
      const [{ user }, { user: another }] = [person(), person()];
      await keep(user ?? {});
      await keep(another ?? {});
      const request = { requestId, customerId: user?.id ?? "" };
      return {
        request,
        other: () => ({ ...request, customerId: another?.id ?? "" }),
        effect: async () => [(await addresses(user ?? {})).length, (await addresses(another ?? {})).length],
        once: [0, 1],
      };
    },
  },
});
