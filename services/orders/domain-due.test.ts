import { describe, expect, it } from "vitest";
import { commandsOf, transition } from "./domain.ts";
import { MAX_DUE, MAX_GIVEN_BACK, type SagaEvent } from "./domain-saga.ts";
import {
  after,
  announced,
  cancel,
  follow,
  moneyRefunded,
  move,
  paid,
  received,
  refundAsked,
  restocked,
  returnRefunded,
  withdrawn,
} from "./testing/saga-events.ts";

describe("what is due", () => {
  const ask = (amount: bigint): SagaEvent => ({ kind: "refund_requested", amount });

  it.each([
    ["a return that was announced", [announced]],
    ["a return that is here", [announced, received]],
    ["a return that was refunded", [announced, received, restocked, returnRefunded]],
    ["money that is due", [refundAsked]],
    ["money that was given back", [refundAsked, moneyRefunded]],
  ])("keeps an order from being undone as a whole: %s", (_what, events) => {
    expect(transition(after(...paid, ...events), cancel).ok).toBe(false);
  });

  it.each([
    ["nothing else was touched: it is cancelled", [], true],
    ["another one is on its way", [{ kind: "return_announced", amount: 100n }], false],
    ["money is due", [refundAsked], false],
    ["money was given back", [refundAsked, moneyRefunded], false],
  ] as const satisfies readonly (readonly [string, readonly SagaEvent[], boolean])[])(
    "is nothing for a return that was withdrawn; and when %s",
    (_what, events, cancelled) => {
      const before = after(...paid, ...events);
      const gone = [announced, withdrawn].reduce((saga, event) => move(saga, event).saga, before);
      expect(gone).toEqual({ ...before, withdrawn: 1 });
      expect(transition(gone, cancel).ok).toBe(cancelled);
    },
  );

  it.each([
    ["none was announced", []],
    ["it is here", [announced, received]],
    ["it is refunded", [announced, received, restocked, returnRefunded]],
    ["it was withdrawn", [announced, withdrawn]],
    ["less was announced", [{ kind: "return_announced", amount: 999n }]],
    ["less was announced and money is due", [{ kind: "return_announced", amount: 999n }, refundAsked]],
  ] as const satisfies readonly (readonly [string, readonly SagaEvent[]])[])(
    "cannot be withdrawn when %s",
    (_what, events) => {
      expect(transition(after(...paid, ...events), withdrawn).ok).toBe(false);
    },
  );

  it("is never more than was paid, with all that is promised and given back", () => {
    const free: SagaEvent = { kind: "return_announced", amount: 0n };
    const promised = after(...paid, announced);
    expect(transition(promised, ask(491n)).ok).toBe(false);
    const all = move(promised, ask(490n)).saga;
    expect(all).toMatchObject({ promised: 1_490n, refunded: 0n });
    expect(transition(all, ask(1n)).ok).toBe(false);
    expect(transition(all, announced).ok).toBe(false);
    expect(transition(all, free).ok).toBe(true);
    const given = move(all, moneyRefunded).saga;
    expect(given).toMatchObject({ promised: 1_000n, refunded: 490n });
    expect(transition(given, ask(1n)).ok).toBe(false);
  });

  it("is not for more than was announced", () => {
    expect(transition(after(...paid), received).ok).toBe(false);
    const twice = after(...paid, { kind: "return_announced", amount: 400n });
    expect(transition(twice, received).ok).toBe(false);
  });

  it("asks for no money when goods come back whose price was given back before", () => {
    const free: SagaEvent = {
      kind: "return_received",
      returnId: "ret_2",
      lines: [{ sku: "S", quantity: 1n }],
      amount: 0n,
    };
    const here = after(...paid, ask(1_490n), { kind: "payment_refunded", amount: 1_490n });
    const back = follow(here, { kind: "return_announced", amount: 0n }, free, restocked);
    expect(back).toEqual(["PAID/done", "PAID/restock", "PAID/done"]);
  });

  it("has keys of its own for every entry", () => {
    let saga = after(...paid, announced, refundAsked, received);
    const keys: (string | undefined)[] = [];
    for (const event of [moneyRefunded, restocked, returnRefunded]) {
      keys.push(commandsOf(saga)[0]?.key);
      saga = move(saga, event).saga;
    }
    expect(keys).toEqual(["refund:1", "restock:2", "refund:2"]);
  });

  it("is refused when too much is due already, and again accepted when one was worked off", () => {
    let saga = after(...paid);
    for (let i = 0; i < MAX_DUE; i += 1) saga = move(saga, ask(1n)).saga;
    expect(transition(saga, ask(1n)).ok).toBe(false);
    saga = move(saga, { kind: "payment_refunded", amount: 1n }).saga;
    expect(transition(saga, ask(1n)).ok).toBe(true);
  });

  it.each([
    ["money that was given back", ask(1n), { kind: "payment_refunded", amount: 1n } as const],
    ["returns that are on their way", { kind: "return_announced", amount: 1n } as const, undefined],
    ["returns that were withdrawn", announced, withdrawn],
  ])("is promised a limited number of times, counting %s", (_what, promise, worked) => {
    let saga = after(...paid);
    for (let i = 0; i < MAX_GIVEN_BACK; i += 1) {
      saga = move(saga, promise).saga;
      if (worked !== undefined) saga = move(saga, worked).saga;
    }
    expect(transition(saga, ask(1n)).ok).toBe(false);
    expect(transition(saga, announced).ok).toBe(false);
  });

  it("is refunded in the amount that is due, or not at all", () => {
    const asked = after(...paid, refundAsked);
    expect(transition(asked, { kind: "payment_refunded", amount: 491n }).ok).toBe(false);
  });
});
