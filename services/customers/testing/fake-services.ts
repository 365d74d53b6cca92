import { contracts } from "#gen/contracts.ts";
import { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import type {
  GetCustomerSpendingResponse,
  ListOrdersRequest,
  ListOrdersResponse,
} from "#gen/shop/orders/v1/order_service.ts";
import type { PersonalDataErasure } from "#gen/shop/type/v1/personal_data.ts";
import type { Contract, Implementation, UntypedHandler } from "#mesh/contract/contract.ts";

/** A service that holds some records on everybody, in memory. */
export interface FakeHolder {
  /** How many records it holds on a person. */
  readonly records: Map<string, number>;
  /** How many of them it still needs, and does not erase. */
  readonly needed: Map<string, number>;
  /** Every request to erase that came, in order. */
  readonly asked: { readonly requestId: string; readonly customerId: string }[];
  /** Runs before a call takes effect; throws to fail it, or waits. */
  before: () => Promise<void> | void;
  /** Runs after a call took effect and before its answer. */
  after: () => Promise<void> | void;
}

/** What orders tell of customers. */
export interface FakeOrders extends FakeHolder {
  list: (request: ListOrdersRequest) => Promise<ListOrdersResponse>;
  spending: () => Promise<GetCustomerSpendingResponse>;
}

/** Records that everybody is taken to have in each place. */
export const RECORDS = 2;

/** The contracts of all services that hold something personal, but for this one's. */
export const holderContracts: readonly Contract[] = contracts.filter(({ methods }) => "eraseCustomerData" in methods);

export function fakeHolder(): FakeHolder {
  return { records: new Map(), needed: new Map(), asked: [], before: () => {}, after: () => {} };
}

export function fakeOrders(): FakeOrders {
  return {
    ...fakeHolder(),
    list: async () => ({ orders: [], nextPageToken: "" }),
    spending: async () => ({ spent: [], orderCount: 0n }),
  };
}

/** The service of a contract, of which only what customers asks is there. */
export function serviceOf(contract: Contract, fake: FakeHolder | FakeOrders): Implementation {
  const erased = new Map<string, number>();
  const given: Readonly<Record<string, UntypedHandler>> = {
    eraseCustomerData: async (request: { readonly requestId: string; readonly customerId: string }) => {
      await fake.before();
      fake.asked.push(request);
      const { requestId, customerId } = request;
      const before = fake.records.get(customerId) ?? RECORDS;
      const left = Math.min(fake.needed.get(customerId) ?? 0, before);
      fake.records.set(customerId, left);
      erased.set(requestId, (erased.get(requestId) ?? 0) + before - left);
      await fake.after();
      return { erasures: [placeOf(contract, erased.get(requestId) ?? 0, left)] };
    },
    exportCustomerData: async function* ({ customerId }: { readonly customerId: string }) {
      await fake.before();
      const count = fake.records.get(customerId) ?? RECORDS;
      for (let at = 0; at < count; at += 1) yield { record: { kind: "thing", id: `${at}`, json: `{"at":${at}}` } };
      await fake.after();
    },
    ...("list" in fake
      ? { listOrders: (request: ListOrdersRequest) => fake.list(request), getCustomerSpending: () => fake.spending() }
      : {}),
  };
  const notHere = (): never => {
    throw new Error(`the fake of ${contract.name} has no such method`);
  };
  return {
    contract,
    handlers: Object.fromEntries(Object.keys(contract.methods).map((name) => [name, given[name] ?? notHere])),
  };
}

function placeOf({ owner }: Contract, erased: number, left: number): PersonalDataErasure {
  return { place: `${owner}.things`, erasedCount: BigInt(erased), leftCount: BigInt(left), kept: "" };
}

export const isOrders = ({ name }: Contract): boolean => name === OrderService.name;
