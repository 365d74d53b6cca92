import { CustomerService } from "#gen/shop/customers/v1/customer_service.contract.ts";
import { type PersonalPlace, storedAnswers, type Transaction } from "#mesh/postgres/index.ts";
import { deleteAllAddresses, eraseProfile } from "./store.ts";
import type { ErasedPlace } from "./store-erasures.ts";

/** How many stored answers one statement removes. */
const BATCH_SIZE = 200;

const places: readonly Pick<PersonalPlace, "place" | "kept" | "erase">[] = [
  {
    place: "customers.customers",
    kept: "the id, and that it was erased, so that nothing new is kept of it",
    erase: eraseProfile,
  },
  { place: "customers.addresses", kept: "", erase: deleteAllAddresses },
  storedAnswers("customers.once_requests", [CustomerService]),
];

/**
 * Erases what this service itself holds of a customer whose row is locked: at once, in the transaction that begins the
 * erasure, so that whoever changes anything of them comes before it, or finds that they are erased.
 */
export async function eraseOwn(tx: Transaction, customerId: string): Promise<readonly ErasedPlace[]> {
  const erased: ErasedPlace[] = [];
  for (const { place, kept, erase } of places) {
    let count = 0;
    let last = BATCH_SIZE;
    while (last === BATCH_SIZE) {
      last = await erase(tx, customerId, BATCH_SIZE);
      count += last;
    }
    erased.push({ place, kept, erasedCount: BigInt(count), leftCount: 0n });
  }
  return erased;
}
