import type { Erasure } from "#gen/shop/customers/v1/customer.ts";
import { CustomerService } from "#gen/shop/customers/v1/customer_service.contract.ts";
import type { CustomerInput } from "#gen/shop/customers/v1/customer_service.ts";
import type { Address } from "#gen/shop/type/v1/address.ts";
import { newId } from "#mesh/ids.ts";
import type { Database } from "#mesh/postgres/index.ts";
import type { Call, User } from "#mesh/rpc/call.ts";
import { type FakeClock, fakeClock } from "#testing/clock.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import type { ErasureTimings } from "../erasure-runner.ts";
import { startCustomers } from "../service.ts";
import {
  type FakeHolder,
  type FakeOrders,
  fakeHolder,
  fakeOrders,
  holderContracts,
  isOrders,
  serviceOf,
} from "./fake-services.ts";

/** Customers on a real database, with the services that they ask in memory. */
export interface TestCustomers {
  readonly mesh: TestMesh;
  readonly database: TestDatabase;
  readonly clock: FakeClock;
  readonly orders: FakeOrders;
  /** The services that hold something, by their names. */
  readonly holders: ReadonlyMap<string, FakeHolder>;
  /** Another process of the service on the same database, which serves nobody and moves erasures on. */
  startAnother(db?: Database): { close(): Promise<void> };
  /** Ends the service alone, as a process ends that is told to. */
  closeCustomers(): Promise<void>;
  close(): Promise<void>;
}

/** Short, so that tests do not wait; a lease outlives a test unless the test takes it away. */
const timings: ErasureTimings = { pollMs: 20, leaseMs: 600_000, callMs: 5_000 };

/** Starts it; close it when the test ends. */
export async function startTestCustomers(
  options: { readonly timings?: Partial<ErasureTimings> } = {},
): Promise<TestCustomers> {
  const clock = fakeClock();
  const database = await testDatabase(new URL("../migrations/", import.meta.url));
  const orders = fakeOrders();
  const holders = new Map(holderContracts.map((one) => [one.owner, isOrders(one) ? orders : fakeHolder()]));
  const services: { close(): Promise<void> }[] = [];
  const start = (node: Parameters<typeof startCustomers>[0]["mesh"], db: Database) => {
    const parts = { mesh: node, db, newId, random: () => 0.5, timings: { ...timings, ...options.timings } };
    const started = startCustomers(parts);
    services.push(started);
    return started;
  };
  const fakes = holderContracts.map((one) => [
    one.owner,
    () => [serviceOf(one, holders.get(one.owner) ?? fakeHolder())],
  ]);
  const mesh = await startTestMesh(
    { ...Object.fromEntries(fakes), customers: (node) => start(node, database.db).implementations },
    { clock },
  );
  const closeCustomers = async (): Promise<void> => {
    await Promise.all(services.splice(0).map((service) => service.close()));
  };
  return {
    ...{ mesh, database, clock, orders, holders, closeCustomers },
    startAnother: (db = database.db) => start(mesh.mesh("customers"), db),
    close: async () => {
      await closeCustomers();
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
    erase: async (user: Partial<User>, customerId = "", requestId = newId("req")): Promise<Erasure> =>
      erasureIn(await client().eraseCustomer({ requestId, customerId }, as(user))),
    /** How far an erasure is, as support sees it: the person themselves cannot ask any more. */
    erasure: async (erasureId: string): Promise<Erasure> =>
      erasureIn(await client().getErasure({ erasureId }, as({ id: "usr_support", roles: ["support"] }))),
    addresses: async (user: Partial<User>, customerId = "") =>
      (await client().listAddresses({ customerId, pageSize: 100, pageToken: "" }, as(user))).addresses,
  };
}

function erasureIn({ erasure }: { readonly erasure: Erasure | undefined }): Erasure {
  if (erasure === undefined) throw new Error("an answer without an erasure");
  return erasure;
}
