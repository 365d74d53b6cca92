import { CustomerService } from "#gen/shop/customers/v1/customer_service.contract.ts";
import type { CustomerInput } from "#gen/shop/customers/v1/customer_service.ts";
import type { Address } from "#gen/shop/type/v1/address.ts";
import { implement } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import type { Call, User } from "#mesh/rpc/call.ts";
import { type FakeClock, fakeClock } from "#testing/clock.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { customerHandlers } from "../handlers/index.ts";

/** Customers on a real database. */
export interface TestCustomers {
  readonly mesh: TestMesh;
  readonly database: TestDatabase;
  readonly clock: FakeClock;
  close(): Promise<void>;
}

/** Starts it; close it when the test ends. */
export async function startTestCustomers(): Promise<TestCustomers> {
  const clock = fakeClock();
  const database = await testDatabase(new URL("../migrations/", import.meta.url));
  const mesh = await startTestMesh({
    customers: () => [implement(CustomerService, customerHandlers({ db: database.db, clock, newId }))],
  });
  return {
    mesh,
    database,
    clock,
    close: async () => {
      await mesh.close();
      await database.close();
    },
  };
}

/** An address that goods can go to. */
export const WORKSHOP: Address = {
  recipient: "Ada Lovelace",
  lines: ["Analytical Lane 1", "2nd floor"],
  city: "Marylebone",
  postalCode: "NW1",
  region: "",
  countryCode: "GB",
  phone: "+44 20 7946 0018",
};

const NOTHING: CustomerInput = { displayName: "", phone: "", languageCode: "", defaultAddressId: "" };

/** What people ask of customers, in short. */
export function peopleOf(customers: () => TestCustomers) {
  const client = () => customers().mesh.mesh("gateway").client(CustomerService);
  const as = (user: Partial<User>): Call => customers().mesh.call({ user });
  const change = (
    user: Partial<User>,
    customer: Partial<CustomerInput>,
    { etag = "", requestId = newId("req") } = {},
  ) => {
    const paths: Readonly<Record<keyof CustomerInput, string>> = {
      displayName: "display_name",
      phone: "phone",
      languageCode: "language_code",
      defaultAddressId: "default_address_id",
    };
    const updateMask = Object.entries(paths).flatMap(([field, path]) => (field in customer ? [path] : []));
    return client().try.updateCustomer(
      { requestId, customer: { ...NOTHING, ...customer }, updateMask, etag },
      as(user),
    );
  };
  return {
    client,
    as,
    change,
    person: (
      kind: User["kind"] = "customer",
      ...roles: readonly string[]
    ): Partial<User> & { readonly id: string } => ({
      id: newId("usr"),
      kind,
      roles,
    }),
    get: async (user: Partial<User>, customerId = "") => {
      const { customer } = await client().getCustomer({ customerId }, as(user));
      if (customer === undefined) throw new Error("an answer without a customer");
      return customer;
    },
    keep: async (user: Partial<User>, label = "Workshop", address: Address = WORKSHOP) => {
      const request = { requestId: newId("req"), label, address };
      const kept = (await client().createAddress(request, as(user))).address;
      if (kept === undefined) throw new Error("an answer without an address");
      return kept;
    },
    addresses: async (user: Partial<User>, customerId = "") =>
      (await client().listAddresses({ customerId, pageSize: 100, pageToken: "" }, as(user))).addresses,
  };
}
