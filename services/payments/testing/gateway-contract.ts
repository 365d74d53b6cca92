import { expect } from "vitest";
import { newId } from "#mesh/ids.ts";
import type { FakeClock } from "#testing/clock.ts";
import { type Effect, isOpen, type Operation, type PaymentGateway } from "../payment-gateway.ts";

/** A payment gateway with its adapter, and what a test must be able to do to it. */
export interface Bench {
  readonly gateway: PaymentGateway;
  /** The same, but with an API key that is nobody's. */
  readonly stranger: PaymentGateway;
  /** The gateway's and the adapter's. It only ever goes forward. */
  readonly clock: FakeClock;
  readonly tokens: Readonly<Record<"good" | "declined" | "insufficientFunds" | "unknown", string>>;
  /** Loses the next change on its way to the gateway, or the answer on its way back. */
  loseNext(what: "request" | "answer"): void;
  /** Lets the time of an authorization run out. */
  expire(authorizationReference: string): void;
  /** What the gateway would send about an authorization, or about something else; `about` need not be one's name. */
  webhook(about: unknown, options?: { readonly at?: Date; readonly secret?: string }): Webhook;
  /** Any body, with the gateway's signature. */
  signed(body: string): Webhook;
  close(): Promise<void>;
}

export interface Webhook {
  readonly signature: string;
  readonly body: Uint8Array;
}

/** One thing that every adapter must do. */
export interface ContractCase {
  readonly name: string;
  readonly run: (bench: Bench) => Promise<void>;
}

/** Deals with a gateway as payments does: every change under a key of its own unless told otherwise. */
export interface Dealer {
  asked(key?: string): { readonly key: string; readonly firstAskedTime: Date };
  authorize(options?: { readonly key?: string; readonly token?: string }): ReturnType<PaymentGateway["authorize"]>;
  capture(reference: string, options?: Options): ReturnType<PaymentGateway["capture"]>;
  letGo(reference: string, options?: Options): ReturnType<PaymentGateway["void"]>;
  refund(reference: string, options?: Options): ReturnType<PaymentGateway["refund"]>;
  /** An authorization of `AMOUNT`. */
  authorized(): Promise<string>;
  /** One that is captured, all or a part. */
  captured(amount?: bigint): Promise<{ readonly authorization: string; readonly capture: string }>;
}

interface Options {
  readonly key?: string;
  readonly amount?: bigint;
}

export const AMOUNT = 5_000n;
const CURRENCY = { currencyCode: "EUR" };

export function dealerOf({ gateway, clock, tokens }: Pick<Bench, "gateway" | "clock" | "tokens">): Dealer {
  const asked = (key = newId("key")) => ({ key, firstAskedTime: clock.now() });
  const dealer: Dealer = {
    asked,
    authorize: ({ key = newId("key"), token: paymentToken = tokens.good } = {}) =>
      gateway.authorize({ ...asked(key), ...CURRENCY, amount: AMOUNT, paymentToken, reference: orderOf(key) }),
    capture: (authorizationReference, { key, amount = AMOUNT } = {}) =>
      gateway.capture({ ...asked(key), ...CURRENCY, amount, authorizationReference }),
    letGo: (authorizationReference, { key } = {}) => gateway.void({ ...asked(key), authorizationReference }),
    refund: (captureReference, { key, amount = AMOUNT } = {}) =>
      gateway.refund({ ...asked(key), ...CURRENCY, amount, captureReference }),
    authorized: async () => referenceOf(await dealer.authorize()),
    captured: async (amount) => {
      const authorization = await dealer.authorized();
      return { authorization, capture: referenceOf(await dealer.capture(authorization, { amount })) };
    },
  };
  return dealer;
}

/** What a dealer calls an authorization. */
export const orderOf = (key: string): string => `order of ${key}`;

/** The reference in an answer that must be ok. */
export function referenceOf(answer: { readonly kind: string; readonly value?: Effect }): string {
  expect(answer).toMatchObject({ kind: "ok", value: { reference: expect.stringMatching(/.+/) } });
  return answer.value?.reference ?? "";
}

/** Each kind of change, ready to be asked for as often as wanted under one key, with how it can be found again. */
export interface Repeatable {
  readonly kind: Operation["kind"];
  readonly ask: () => Promise<{ readonly kind: string; readonly value?: Effect }>;
  readonly operation: Operation;
  /** Where the authorization stands once it was done, once. */
  readonly done: object;
  /** The authorization, or how to learn of it. */
  readonly find: (reference: string) => ReturnType<PaymentGateway["find"]>;
}

const REFUNDED = 2_000n;

/** One of each, each on an authorization of its own. */
export async function oneOfEach({ gateway, clock, tokens }: Bench): Promise<readonly Repeatable[]> {
  const dealer = dealerOf({ gateway, clock, tokens });
  const keyed = () => {
    const { key, firstAskedTime } = dealer.asked();
    return { key, firstAskedTime };
  };
  const reference = newId("ord");
  const [a, c, v, r] = [keyed(), keyed(), keyed(), keyed()];
  const [held, kept] = [await dealer.authorized(), await dealer.authorized()];
  const taken = await dealer.captured();
  const of = (authorization: string) => () => gateway.find(authorization);
  return [
    {
      kind: "AUTHORIZE",
      ask: () => gateway.authorize({ ...a, ...CURRENCY, amount: AMOUNT, paymentToken: tokens.good, reference }),
      operation: { ...a, kind: "AUTHORIZE", lastAskedTime: a.firstAskedTime },
      done: { status: "AUTHORIZED", captured: 0n, refunded: 0n },
      find: (made) => gateway.find(made),
    },
    {
      kind: "CAPTURE",
      ask: () => gateway.capture({ ...c, ...CURRENCY, amount: AMOUNT, authorizationReference: held }),
      operation: { ...c, kind: "CAPTURE", authorizationReference: held },
      done: { status: "CAPTURED", captured: AMOUNT, refunded: 0n },
      find: of(held),
    },
    {
      kind: "VOID",
      ask: () => gateway.void({ ...v, authorizationReference: kept }),
      operation: { ...v, kind: "VOID", authorizationReference: kept },
      done: { status: "VOIDED", captured: 0n, refunded: 0n },
      find: of(kept),
    },
    {
      kind: "REFUND",
      ask: () => gateway.refund({ ...r, ...CURRENCY, amount: REFUNDED, captureReference: taken.capture }),
      operation: { ...r, kind: "REFUND", captureReference: taken.capture },
      done: { status: "CAPTURED", captured: AMOUNT, refunded: REFUNDED },
      find: of(taken.authorization),
    },
  ];
}

/** Asks until there is an outcome, under the same key. */
export async function untilKnown(ask: Repeatable["ask"]): Promise<{ readonly kind: string; readonly value?: Effect }> {
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const answer = await ask();
    if (!isOpen(answer)) return answer;
  }
  throw new Error(`no outcome after ${MAX_TRIES} questions`);
}

const MAX_TRIES = 5;
