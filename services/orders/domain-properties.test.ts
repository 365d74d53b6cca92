import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { commandsOf, transition } from "./domain.ts";
import { isFinal, MAX_HOLDS, type OrderState, type Saga, type SagaEvent, type Step, stepsOf } from "./domain-saga.ts";
import {
  allEvents,
  authorized,
  captured,
  cleared,
  deliveredSaga,
  holdLapsed,
  initialSaga,
  move,
  reserved,
  success,
} from "./testing/saga-events.ts";

/** The edges of the life of an order, as the contract tells it. */
const legalEdges: Readonly<Record<OrderState, readonly OrderState[]>> = {
  PENDING: ["CONFIRMED", "REJECTED", "CANCELLING"],
  CONFIRMED: ["PAID", "CANCELLING"],
  PAID: ["SHIPPED", "CANCELLING"],
  SHIPPED: ["COMPLETED"],
  COMPLETED: [],
  REJECTED: [],
  CANCELLING: ["CANCELLED", "PAID", "SHIPPED"],
  CANCELLED: [],
};

/** Everything that can be reached from the start, each with the moves that lead on. */
function reachable(): readonly { readonly saga: Saga; readonly next: readonly Saga[] }[] {
  const found = new Map<string, { saga: Saga; next: readonly Saga[] }>();
  const open: Saga[] = [initialSaga, deliveredSaga];
  for (let saga = open.pop(); saga !== undefined; saga = open.pop()) {
    const key = keyOf(saga);
    if (found.has(key)) continue;
    const from = saga;
    const next = allEvents.flatMap((event) => {
      const moved = transition(from, event);
      return moved.ok ? [moved.value.saga] : [];
    });
    found.set(key, { saga, next });
    open.push(...next);
  }
  return [...found.values()];
}

const keyOf = (saga: Saga) => JSON.stringify(saga, (_name, value) => (typeof value === "bigint" ? `${value}` : value));
const isAtRest = (saga: Saga) => saga.step === "done";

describe("every order", () => {
  const all = reachable();

  it("is in a step that its state can be in, and every step of the contract's states in use is reached", () => {
    const seen = new Set(all.map(({ saga }) => `${saga.state}/${saga.step}`));
    for (const { saga } of all) expect(stepsOf[saga.state]).toContain(saga.step);
    const expected = Object.entries(stepsOf).flatMap(([state, steps]) => steps.map((step) => `${state}/${step}`));
    expect([...seen].sort()).toEqual(expected.sort());
  });

  it("changes its state along the contract's edges only, and never a final one", () => {
    for (const { saga, next } of all) {
      for (const { state } of next) {
        if (state !== saga.state) expect(legalEdges[saga.state]).toContain(state);
      }
      // Goods and money of a COMPLETED order may still come back.
      if (isFinal(saga.state)) expect(next.filter(({ state }) => state !== saga.state)).toEqual([]);
      if (isFinal(saga.state) && saga.state !== "COMPLETED") expect(next).toEqual([]);
    }
  });

  it("comes to rest from wherever it is when every command succeeds from then on", () => {
    for (const { saga } of all) {
      let now = saga;
      for (let moves = 0; !isAtRest(now) && moves < 20; moves += 1) now = move(now, success(now)).saga;
      expect(`${saga.state}/${saga.step} → ${now.step}`).toBe(`${saga.state}/${saga.step} → done`);
    }
  });

  it("has a command exactly when it is not at rest", () => {
    for (const { saga } of all) {
      expect(commandsOf(saga).map(({ kind }): Step => kind)).toEqual(isAtRest(saga) ? [] : [saga.step]);
    }
  });

  it("rests holding nothing: paid and sold, or neither", () => {
    const outcomes = new Set(all.filter(({ saga }) => isAtRest(saga)).map(({ saga }) => saga.state));
    expect([...outcomes].sort()).toEqual(["CANCELLED", "COMPLETED", "PAID", "REJECTED", "SHIPPED"]);
  });

  it("owes nothing when it rests, and never promises more than was paid", () => {
    for (const { saga } of all) {
      const { total, refunded, promised, due, dues, announced, step } = saga;
      expect(refunded + promised).toBeLessThanOrEqual(total);
      const owed = due.reduce((sum, { amount }) => sum + amount, 0n);
      expect(owed).toBeLessThanOrEqual(promised);
      if (isAtRest(saga)) expect(due).toEqual([]);
      if (announced === 0) expect(owed).toBe(promised);
      expect(dues - due.length).toBe((due[0]?.seq ?? dues + 1) - 1);
      if (due.length > 0) expect(["create_shipment", "restock", "refund_payment"]).toContain(step);
    }
  });
});

describe("any run of events", () => {
  interface Run {
    readonly sagas: readonly Saga[];
    readonly accepted: readonly SagaEvent[];
    readonly commands: readonly { readonly kind: string; readonly key: string; readonly state: OrderState }[];
  }

  function run(events: readonly SagaEvent[]): Run {
    const sagas = [initialSaga];
    const accepted: SagaEvent[] = [];
    const commands: { kind: string; key: string; state: OrderState }[] = [];
    let saga = initialSaga;
    for (const event of events) {
      const moved = transition(saga, event);
      if (!moved.ok) continue;
      saga = moved.value.saga;
      sagas.push(saga);
      accepted.push(event);
      commands.push(...moved.value.commands.map((command) => ({ ...command, state: moved.value.saga.state })));
    }
    return { sagas, accepted, commands };
  }

  // Illegal ones are passed over, and one in eight is legal wherever a run stands: so long a list leads far.
  const events = fc.array(fc.constantFrom(...allEvents), { maxLength: 400 });

  it("captures only what is confirmed, and commits stock only after a capture", () => {
    fc.assert(
      fc.property(events, (given) => {
        const { commands, sagas, accepted } = run(given);
        for (const { kind, state } of commands) {
          if (kind === "capture_payment" || kind === "commit_stock") expect(state).toBe("CONFIRMED");
        }
        const commit = sagas.findIndex(({ step }) => step === "commit_stock");
        if (commit >= 0) expect(accepted.slice(0, commit)).toContainEqual(captured);
        for (const { state, paymentId, reservationId } of sagas) {
          if (state === "CONFIRMED" || state === "PAID") {
            expect(paymentId).toBeDefined();
            expect(reservationId).toBeDefined();
          }
        }
      }),
    );
  });

  it("gives back everything it took before it is cancelled or rejected", () => {
    fc.assert(
      fc.property(events, (given) => {
        const { sagas, accepted } = run(given);
        const last = sagas.at(-1);
        if (last?.state !== "CANCELLED" && last?.state !== "REJECTED") return;
        const kinds = accepted.map(({ kind }) => kind);
        const lastHold = kinds.lastIndexOf("stock_reserved");
        const givenBack = Math.max(kinds.lastIndexOf("stock_released"), kinds.lastIndexOf("stock_restocked"));
        if (lastHold >= 0) expect(givenBack).toBeGreaterThan(lastHold);
        if (kinds.includes("payment_captured") || kinds.includes("payment_was_captured")) {
          expect(kinds).toContain("payment_refunded");
          expect(last.refunded).toBe(1_490n);
        } else if (kinds.includes("payment_authorized")) {
          expect(kinds.some((kind) => kind === "payment_voided" || kind === "payment_lapsed")).toBe(true);
        }
      }),
    );
  });

  it("is rejected with a reason, and has none otherwise", () => {
    fc.assert(
      fc.property(events, (given) => {
        for (const { state, step, rejection } of run(given).sagas) {
          const rejecting = state === "REJECTED" || (state === "PENDING" && step === "release_stock");
          expect(rejection !== undefined).toBe(rejecting);
        }
      }),
    );
  });

  it("ends: no run holds stock more often than allowed", () => {
    fc.assert(
      fc.property(events, (given) => {
        const { sagas } = run(given);
        expect(Math.max(...sagas.map(({ holds }) => holds))).toBeLessThanOrEqual(MAX_HOLDS);
      }),
    );
    const many = Array.from({ length: MAX_HOLDS + 2 }, () => [holdLapsed, reserved]).flat();
    const { sagas } = run([reserved, authorized, cleared, captured, ...many]);
    expect(sagas.at(-1)).toMatchObject({ state: "CANCELLING", step: "refund_payment", holds: MAX_HOLDS });
  });

  it("leaves the saga as it was when the event is illegal, and says so", () => {
    expect(transition(initialSaga, captured)).toEqual({
      ok: false,
      error: { kind: "illegal_event", state: "PENDING", step: "reserve_stock", event: "payment_captured" },
    });
    expect(transition({ ...initialSaga, state: "PAID" }, reserved)).toMatchObject({
      error: { kind: "illegal_event", state: "PAID", step: "reserve_stock" },
    });
  });
});
