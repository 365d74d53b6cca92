import type { Erasure as ErasureMessage } from "#gen/shop/customers/v1/customer.ts";
import { Erasure_State } from "#gen/shop/customers/v1/customer.ts";
import type {
  EraseCustomerRequest,
  EraseCustomerResponse,
  GetErasureRequest,
  GetErasureResponse,
} from "#gen/shop/customers/v1/customer_service.ts";
import { once, type Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { eraseOwn } from "../erase-own.ts";
import * as store from "../store.ts";
import * as erasureStore from "../store-erasures.ts";
import { ADMINS, customerOf, mayActFor, STAFF } from "./access.ts";
import type { Deps } from "./deps.ts";
import { failure } from "./errors.ts";

/** This service, which erases its own at once. */
const OWN = "customers";
/** Both rounds: nothing new is kept of somebody who is erased. */
const ALL_ROUNDS = 2;

export const eraseCustomer =
  (deps: Pick<Deps, "db" | "clock" | "newId" | "holders" | "erasures">) =>
  async (request: EraseCustomerRequest, call: Call): Promise<EraseCustomerResponse> => {
    const { db, clock, erasures } = deps;
    const customerId = customerOf(call, request.customerId, ADMINS);
    const response = await once(db, call, request, clock, async (tx) => {
      const { erased } = await store.lockCustomer(tx, { id: customerId, now: clock.now() });
      if (!erased) await begin(deps, tx, customerId);
      const erasure = await erasureStore.findErasure(tx, customerId);
      if (erasure === undefined) throw new Error(`${customerId} is erased, and there is no erasure.`);
      return { erasure: erasureMessage(erasure) };
    });
    erasures.wake();
    return response;
  };

export const getErasure =
  ({ db }: Pick<Deps, "db">) =>
  async ({ erasureId }: GetErasureRequest, call: Call): Promise<GetErasureResponse> => {
    const own = call.user?.id ?? "";
    const erasure = await (erasureId === ""
      ? erasureStore.findErasure(db, own)
      : erasureStore.getErasure(db, erasureId));
    if (erasure === undefined || (erasure.customerId !== own && !mayActFor(call, STAFF))) {
      throw failure("ERASURE_NOT_FOUND", "There is no such erasure.");
    }
    return { erasure: erasureMessage(erasure) };
  };

/** Erases what is here, and has the other services asked. */
async function begin(
  { clock, newId, holders }: Pick<Deps, "clock" | "newId" | "holders">,
  tx: Transaction,
  customerId: string,
): Promise<void> {
  const id = newId("era");
  const now = clock.now();
  await erasureStore.insertErasure(tx, { id, customerId, now });
  const services = [OWN, ...holders.map(({ service }) => service)];
  await erasureStore.insertServices(tx, { id, services, now });
  await erasureStore.writeAttempt(tx, id, {
    ...{ service: OWN, rounds: ALL_ROUNDS, tries: 1, nextAttemptTime: now, error: "" },
    answer: { time: now, places: await eraseOwn(tx, customerId) },
  });
}

function erasureMessage(erasure: erasureStore.Erasure): ErasureMessage {
  const { id, customerId, state, services, createTime, doneTime } = erasure;
  return {
    id,
    customerId,
    state: Erasure_State[state],
    services: services.map(({ service, places, attempts, lastError, answerTime }) => ({
      ...{ service, attempts, lastError, answerTime },
      erasures: places.map((place) => ({ ...place })),
    })),
    createTime,
    doneTime,
  };
}
