import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { Reservation_State } from "#gen/shop/inventory/v1/stock.ts";
import type { Saga } from "../domain-saga.ts";
import { examples } from "./examples.ts";
import { lens } from "./machine.ts";
import { SECRET } from "./payment-gateway.ts";
import { anySchedule, SCHEDULES } from "./schedule.ts";
import type { Shop } from "./shop.ts";
import { simulate } from "./simulate.ts";

vi.mock(import("../domain.ts"), async (original) => (await import("./machine.ts")).throughLens(await original()));
vi.mock(import("../store.ts"), () => import("./database.ts"));
vi.mock(import("../store-saga.ts"), () => import("./database.ts"));
vi.mock("node:timers/promises", () => import("./sleep.ts"));

/** A bug, and what is seen of it first. */
interface Bug {
  readonly seen: RegExp;
  /** In somebody whom orders calls, or in the tables. */
  readonly plant?: (shop: Shop) => void;
  /** In the machine: where it goes, by what it should be. */
  readonly bend?: (saga: Saga, from: Saga) => Saga;
}

const bugs: Readonly<Record<string, Bug>> = {
  "each try of a hold has a key of its own": {
    seen: /still holds stock/,
    plant: ({ callees }) => {
      callees.inventory = { ...callees.inventory, createReservation: withoutKey(callees.inventory.createReservation) };
    },
  },
  "each try of a refund has a key of its own": {
    seen: /instead of|violates|wrongly|still (PAID|CANCELLING)\/refund_payment/,
    plant: ({ callees }) => {
      callees.payments = { ...callees.payments, createRefund: withoutKey(callees.payments.createRefund) };
    },
  },
  "each try of a restock has a key of its own": {
    seen: /on hand and|still (PAID|CANCELLING)\/restock/,
    plant: ({ callees }) => {
      callees.inventory = {
        ...callees.inventory,
        restockReservation: withoutKey(callees.inventory.restockReservation),
      };
    },
  },
  "the gateway is asked for each try of an authorization under another key": {
    seen: /live authorizations|money is set aside|the gateway has/,
    plant: ({ gateway }) => {
      const { authorize } = gateway;
      const next = counter();
      gateway.authorize = (request) => authorize({ ...request, key: `${request.key}/${next()}` });
    },
  },
  "a move is written whoever holds the order by now, and wherever it stands": {
    seen: /went from|violates|does not tell|went back|instead of|live authorizations|on hand and|is illegal|still/,
    plant: ({ table }) => {
      const advanceOrder = table.advanceOrder.bind(table);
      table.advanceOrder = (guard, moved) => {
        const { fence, version } = table.getOrder(guard.id) ?? guard;
        return advanceOrder({ ...guard, fence, version }, moved);
      };
    },
  },
  "stock is released where money is to be given back": {
    seen: /the gateway has/,
    bend: (to) => (to.state === "CANCELLING" && to.step === "refund_payment" ? { ...to, step: "release_stock" } : to),
  },
  "money is taken before the order is confirmed": {
    seen: /was charged, and never confirmed/,
    plant: ({ gateway }) => {
      const { authorize, capture } = gateway;
      gateway.authorize = (request) => {
        const answer = authorize(request);
        if (answer.kind === "ok") capture({ key: `${request.key}/at-once`, id: answer.id, amount: request.amount });
        return answer;
      };
    },
  },
  "an authorization is settled without a fence against one that comes late": {
    seen: /the gateway has|money is set aside/,
    plant: ({ callees, payments }) => {
      const { settleAuthorization } = callees.payments;
      callees.payments = {
        ...callees.payments,
        settleAuthorization: async (request) => {
          const answer = await settleAuthorization?.(request);
          if (answer?.payment?.declineCode === "abandoned") payments.books.forget("AUTHORIZE", request.requestId);
          return answer ?? { payment: undefined };
        },
      };
    },
  },
  "a refused hold is not refused to a copy that comes late": {
    seen: /still holds stock/,
    plant: ({ inventory }) => {
      inventory.refusals.set = () => inventory.refusals;
    },
  },
  "a hold that ran out is sold all the same": {
    seen: /on hand/,
    plant: ({ callees, inventory }) => {
      const { commitReservation } = callees.inventory;
      callees.inventory = {
        ...callees.inventory,
        commitReservation: (request) => {
          const reservation = inventory.reservations.get(request.reservationId);
          return reservation?.state === Reservation_State.EXPIRED
            ? { reservation }
            : (commitReservation?.(request) ?? { reservation });
        },
      };
    },
  },
  "a copy of PlaceOrder makes an order of its own": {
    seen: /in two ways/,
    plant: ({ table }) => {
      table.findByRequest = () => undefined;
      const insertOrder = table.insertOrder.bind(table);
      table.insertOrder = (order, leaseMs) => insertOrder({ ...order, requestId: order.id }, leaseMs);
    },
  },
  "a cancelled order changes its mind": {
    seen: /went from|violates/,
    bend: (to, from) => (from.state === "CANCELLING" && to.step === "done" ? { ...to, state: "PAID" } : to),
  },
  "the payment token is noted with the order": {
    seen: /a payment token was stored/,
    bend: (to) => (to.rejection === undefined ? to : { ...to, rejection: { ...to.rejection, message: SECRET } }),
  },
};

/** A caller that makes a new request_id for every try. */
function withoutKey<Request extends { readonly requestId: string }, Answer>(
  serve: ((request: Request) => Answer) | undefined,
): ((request: Request) => Answer) | undefined {
  const next = counter();
  return serve && ((request) => serve({ ...request, requestId: `${request.requestId}/${next()}` }));
}

function counter(): () => number {
  let count = 0;
  return () => {
    count += 1;
    return count;
  };
}

describe("the simulation finds", () => {
  afterEach(() => {
    lens.bend = (real) => real;
  });

  test.each(Object.entries(bugs))("that %s", { timeout: 120_000 }, async (_name, { plant, bend, seen }) => {
    lens.bend = (real) => (from, event) => {
      const moved = real(from, event);
      return bend === undefined || !moved.ok
        ? moved
        : { ...moved, value: { ...moved.value, saga: bend(moved.value.saga, from) } };
    };
    const result = await fc.check(
      fc.asyncProperty(anySchedule, async (schedule) => {
        await simulate(schedule, { plant });
      }),
      { numRuns: SCHEDULES, seed: 1, examples: examples.map(({ schedule }) => [schedule]), endOnFailure: true },
    );
    expect(result.failed, `after ${result.numRuns} schedules`).toBe(true);
    expect(String(result.errorInstance)).toMatch(seen);
  });
});
