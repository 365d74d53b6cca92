import { expect } from "vitest";
import { newId } from "#mesh/ids.ts";
import { isOpen, MAX_REFUNDS } from "../payment-gateway.ts";
import {
  AMOUNT,
  type ContractCase,
  dealerOf,
  oneOfEach,
  orderOf,
  referenceOf,
  untilKnown,
} from "./gateway-contract.ts";
import { recordCases } from "./gateway-contract-records.ts";

const DAY_MS = 24 * 60 * 60 * 1_000;
const MINUTE_MS = 60_000;

const outcomes: readonly ContractCase[] = [
  {
    name: "sets money aside, until a time that is to come",
    run: async ({ gateway, clock, tokens }) => {
      const answer = await dealerOf({ gateway, clock, tokens }).authorize();
      expect(answer).toMatchObject({ kind: "ok", value: { expireTime: expect.any(Date) } });
      if (answer.kind === "ok")
        expect(answer.value.expireTime.getTime()).toBeGreaterThan(clock.now().getTime() + DAY_MS);
      expect(await gateway.find(referenceOf(answer))).toMatchObject({
        value: { status: "AUTHORIZED", captured: 0n, refunded: 0n, captureReference: undefined },
      });
    },
  },
  {
    name: "tells all of an authorization that books are compared with, and that it has none of another name",
    run: async (bench) => {
      const { authorize, capture } = dealerOf(bench);
      const key = newId("key");
      const authorization = referenceOf(await authorize({ key }));
      const captureReference = referenceOf(await capture(authorization, { amount: 3_000n }));
      expect(await bench.gateway.find(authorization)).toEqual({
        kind: "ok",
        value: {
          ...{ status: "CAPTURED", currencyCode: "EUR", amount: AMOUNT, captured: 3_000n, refunded: 0n },
          ...{ captureReference, ourReference: orderOf(key) },
        },
      });
      expect(await bench.gateway.find(newId("none"))).toEqual({ kind: "absent" });
    },
  },
  {
    name: "declines in the contract's words, and says so again",
    run: async (bench) => {
      const { declined, insufficientFunds, unknown } = bench.tokens;
      const { authorize } = dealerOf(bench);
      for (const [token, code] of [
        [declined, "card_declined"],
        [insufficientFunds, "insufficient_funds"],
        [unknown, "invalid_token"],
      ] as const) {
        const key = newId("key");
        for (let copy = 0; copy < 2; copy += 1)
          expect(await authorize({ token, key })).toEqual({ kind: "declined", code });
      }
    },
  },
  {
    name: "takes all that was set aside",
    run: async (bench) => {
      const { authorization } = await dealerOf(bench).captured();
      expect(await bench.gateway.find(authorization)).toMatchObject({
        value: { status: "CAPTURED", captured: AMOUNT, refunded: 0n },
      });
    },
  },
  {
    name: "takes a part, and does not count the rest as given back",
    run: async (bench) => {
      const { authorization } = await dealerOf(bench).captured(3_000n);
      expect(await bench.gateway.find(authorization)).toMatchObject({
        value: { status: "CAPTURED", captured: 3_000n, refunded: 0n },
      });
    },
  },
  {
    name: "takes no more than was set aside",
    run: async (bench) => {
      const { authorized, capture } = dealerOf(bench);
      const authorization = await authorized();
      expect(await capture(authorization, { amount: AMOUNT + 1n })).toMatchObject({ kind: "refused" });
      expect(await bench.gateway.find(authorization)).toMatchObject({ value: { status: "AUTHORIZED", captured: 0n } });
    },
  },
  {
    name: "lets go, and then takes nothing any more",
    run: async (bench) => {
      const { authorized, letGo, capture } = dealerOf(bench);
      const authorization = await authorized();
      referenceOf(await letGo(authorization));
      expect(await bench.gateway.find(authorization)).toMatchObject({
        value: { status: "VOIDED", captured: 0n, refunded: 0n },
      });
      expect(await capture(authorization)).toMatchObject({ kind: "refused", status: "VOIDED" });
      referenceOf(await letGo(authorization));
    },
  },
  {
    name: "does not let go what was taken",
    run: async (bench) => {
      const { captured, letGo } = dealerOf(bench);
      const { authorization } = await captured();
      expect(await letGo(authorization)).toMatchObject({ kind: "refused", status: "CAPTURED" });
    },
  },
];

const refunds: readonly ContractCase[] = [
  {
    name: "gives back in parts, no more than was taken",
    run: async (bench) => {
      const { captured, refund } = dealerOf(bench);
      const { authorization, capture } = await captured();
      const first = referenceOf(await refund(capture, { amount: 1_000n }));
      const second = referenceOf(await refund(capture, { amount: 1_000n }));
      expect(second).not.toBe(first);
      expect(await refund(capture, { amount: 3_001n })).toMatchObject({ kind: "refused" });
      expect(await bench.gateway.find(authorization)).toMatchObject({ value: { refunded: 2_000n } });
      referenceOf(await refund(capture, { amount: 3_000n }));
      expect(await refund(capture, { amount: 1n })).toMatchObject({ kind: "refused" });
      expect(await bench.gateway.find(authorization)).toMatchObject({
        value: { status: "CAPTURED", captured: AMOUNT, refunded: AMOUNT },
      });
    },
  },
  {
    name: "gives back in as many parts as an order can have",
    run: async (bench) => {
      const { captured, refund } = dealerOf(bench);
      const { authorization, capture } = await captured();
      for (let part = 0; part < MAX_REFUNDS; part += 1) referenceOf(await refund(capture, { amount: 1n }));
      expect(await bench.gateway.find(authorization)).toMatchObject({ value: { refunded: BigInt(MAX_REFUNDS) } });
    },
  },
  {
    name: "gives back of a part that was taken no more than that part",
    run: async (bench) => {
      const { captured, refund } = dealerOf(bench);
      const { authorization, capture } = await captured(3_000n);
      expect(await refund(capture, { amount: 3_001n })).toMatchObject({ kind: "refused" });
      referenceOf(await refund(capture, { amount: 3_000n }));
      expect(await bench.gateway.find(authorization)).toMatchObject({ value: { captured: 3_000n, refunded: 3_000n } });
    },
  },
];

const keys: readonly ContractCase[] = [
  {
    name: "does a thing once under a key, and answers alike",
    run: async (bench) => {
      for (const { kind, ask, done, find } of await oneOfEach(bench)) {
        const first = referenceOf(await ask());
        expect(referenceOf(await ask()), kind).toBe(first);
        expect(await find(first), kind).toMatchObject({ kind: "ok", value: done });
      }
    },
  },
  {
    name: "does a thing once under a key that comes many times at once",
    run: async (bench) => {
      for (const { kind, ask, done, find } of await oneOfEach(bench)) {
        const answers = await Promise.all(Array.from({ length: 8 }, ask));
        const known = answers.filter((answer) => !isOpen(answer));
        const references = new Set([...known, await untilKnown(ask)].map(referenceOf));
        expect(references.size, kind).toBe(1);
        expect(await find([...references][0] ?? ""), kind).toMatchObject({ kind: "ok", value: done });
      }
    },
  },
  {
    name: "does a thing once under a key that comes again after days",
    run: async (bench) => {
      for (const { kind, ask, done, find } of await oneOfEach(bench)) {
        const first = referenceOf(await ask());
        bench.clock.advance(DAY_MS + MINUTE_MS);
        expect(referenceOf(await untilKnown(ask)), kind).toBe(first);
        expect(await find(first), kind).toMatchObject({ kind: "ok", value: done });
      }
    },
  },
  {
    name: "goes by the first token that came with a key",
    run: async (bench) => {
      const { authorize } = dealerOf(bench);
      const [key, other] = [newId("key"), newId("key")];
      const ask = (token: string, under: string) => authorize({ token, key: under });
      const first = referenceOf(await ask(bench.tokens.good, key));
      expect(referenceOf(await ask(bench.tokens.declined, key))).toBe(first);
      expect(await ask(bench.tokens.declined, other)).toMatchObject({ kind: "declined" });
      expect(await ask(bench.tokens.good, other)).toMatchObject({ kind: "declined" });
      expect(referenceOf(await authorize())).not.toBe(first);
    },
  },
];

const unknowns: readonly ContractCase[] = [
  {
    name: "leaves the outcome open when the answer is lost, and tells it when asked for the key",
    run: async (bench) => {
      for (const { kind, ask, operation, done, find } of await oneOfEach(bench)) {
        bench.loseNext("answer");
        expect(isOpen(await ask()), kind).toBe(true);
        const found = referenceOf(await bench.gateway.lookUp(operation));
        expect(referenceOf(await ask()), kind).toBe(found);
        expect(await find(found), kind).toMatchObject({ kind: "ok", value: done });
      }
    },
  },
  {
    name: "knows nothing of a key that never reached it, and does the thing when it comes again",
    run: async (bench) => {
      for (const { kind, ask, operation, done, find } of await oneOfEach(bench)) {
        expect(await bench.gateway.lookUp(operation), kind).toEqual({ kind: "absent" });
        bench.loseNext("request");
        expect(isOpen(await ask()), kind).toBe(true);
        expect(await bench.gateway.lookUp(operation), kind).toEqual({ kind: "absent" });
        const made = referenceOf(await ask());
        expect(referenceOf(await bench.gateway.lookUp(operation)), kind).toBe(made);
        expect(await find(made), kind).toMatchObject({ kind: "ok", value: done });
      }
    },
  },
  {
    name: "tells a decline, and the time of an authorization, when asked for the key",
    run: async (bench) => {
      const { authorize, asked } = dealerOf(bench);
      const [no, yes] = [asked(), asked()];
      const lookUp = (operation: typeof no) =>
        bench.gateway.lookUp({ ...operation, kind: "AUTHORIZE", lastAskedTime: operation.firstAskedTime });
      bench.loseNext("answer");
      expect(isOpen(await authorize({ key: no.key, token: bench.tokens.insufficientFunds }))).toBe(true);
      expect(await lookUp(no)).toEqual({ kind: "declined", code: "insufficient_funds" });
      const answer = await authorize({ key: yes.key });
      expect(await lookUp(yes)).toEqual(answer);
    },
  },
  {
    name: "is asked again, and not believed, where its own key is not taken",
    run: async ({ stranger, clock, tokens }) => {
      const { authorize, capture } = dealerOf({ gateway: stranger, clock, tokens });
      expect(await authorize()).toMatchObject({ kind: "retryable" });
      expect(await capture("nothing")).toMatchObject({ kind: "retryable" });
      expect(isOpen(await stranger.find("nothing"))).toBe(true);
    },
  },
];

/** What every adapter must do. */
export const contractCases: readonly ContractCase[] = [...outcomes, ...refunds, ...keys, ...unknowns, ...recordCases];
