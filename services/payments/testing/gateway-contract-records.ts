import { expect } from "vitest";
import {
  MAX_PAGE_TRANSACTIONS,
  type PaymentGateway,
  type Transaction,
  type TransactionPage,
} from "../payment-gateway.ts";
import { AMOUNT, type ContractCase, dealerOf, referenceOf, type Webhook } from "./gateway-contract.ts";

const MINUTE_MS = 60_000;

const books: readonly ContractCase[] = [
  {
    name: "lists what moved, each once, in order, and goes on from where it was read",
    run: async (bench) => {
      const { gateway, clock } = bench;
      const { authorized, captured, letGo, refund } = dealerOf(bench);
      clock.advance(MINUTE_MS);
      const before = await readAll(gateway, undefined);
      const { authorization, capture } = await captured(3_000n);
      referenceOf(await refund(capture, { amount: 1_000n }));
      const other = await authorized();
      referenceOf(await letGo(other));
      clock.advance(MINUTE_MS);
      const { transactions, cursor } = await readAll(gateway, before.cursor);
      const of = (kind: string, authorizationReference: string, amount: bigint) =>
        expect.objectContaining({ kind, authorizationReference, amount, currencyCode: "EUR" });
      expect(transactions).toEqual([
        of("AUTHORIZE", authorization, AMOUNT),
        of("CAPTURE", authorization, 3_000n),
        of("REFUND", authorization, 1_000n),
        of("AUTHORIZE", other, AMOUNT),
        of("VOID", other, AMOUNT),
      ]);
      expect((await readAll(gateway, cursor)).transactions).toEqual([]);
    },
  },
];

async function readAll(gateway: PaymentGateway, after: string | undefined): Promise<TransactionPage> {
  const transactions: Transaction[] = [];
  for (let cursor = after, pages = 0; pages < MAX_PAGES; pages += 1) {
    const page = await gateway.listTransactions(cursor);
    if (page.kind !== "ok") throw new Error(page.because);
    expect(page.value.transactions.length).toBeLessThanOrEqual(MAX_PAGE_TRANSACTIONS);
    transactions.push(...page.value.transactions);
    if (!page.value.more) return { ...page.value, transactions };
    cursor = page.value.cursor;
  }
  throw new Error(`more than ${MAX_PAGES} pages`);
}

const MAX_PAGES = 100;

const events: readonly ContractCase[] = [
  {
    name: "lets what nobody took expire, and says so",
    run: async (bench) => {
      const { authorized, capture, letGo } = dealerOf(bench);
      bench.clock.advance(MINUTE_MS);
      const { cursor } = await readAll(bench.gateway, undefined);
      const authorization = await authorized();
      bench.expire(authorization);
      bench.clock.advance(MINUTE_MS);
      // Time that runs out is nobody's doing.
      const { transactions } = await readAll(bench.gateway, cursor);
      expect(transactions).toMatchObject([{ kind: "AUTHORIZE", authorizationReference: authorization }]);
      expect(await bench.gateway.find(authorization)).toMatchObject({
        value: { status: "EXPIRED", captured: 0n, refunded: 0n },
      });
      expect(await capture(authorization)).toMatchObject({ kind: "refused", status: "EXPIRED" });
      expect(await letGo(authorization)).toMatchObject({ kind: "refused", status: "EXPIRED" });
    },
  },
  {
    name: "reads a webhook that is its own, as often as it comes",
    run: async (bench) => {
      const { gateway, clock, webhook } = bench;
      const about = await dealerOf(bench).authorized();
      const { signature, body } = webhook(about);
      const first = gateway.parseWebhook(signature, body, clock.now());
      expect(first).toEqual({ id: expect.stringMatching(/.+/), authorizationReference: about });
      expect(gateway.parseWebhook(signature, body, clock.now())).toEqual(first);
      const other = webhook(undefined);
      expect(gateway.parseWebhook(other.signature, other.body, clock.now())).toMatchObject({
        authorizationReference: undefined,
      });
    },
  },
  {
    name: "reads no webhook that is forged, changed or old",
    run: async (bench) => {
      const { gateway, clock, webhook } = bench;
      const about = await dealerOf(bench).authorized();
      const read = ({ signature, body }: ReturnType<typeof webhook>) =>
        gateway.parseWebhook(signature, body, clock.now());
      const { signature, body } = webhook(about);
      expect(read(webhook(about, { secret: "whsec_of_somebody_else" }))).toBeUndefined();
      expect(read({ signature, body: Buffer.concat([body, Buffer.from(" ")]) })).toBeUndefined();
      expect(read({ signature: "nonsense", body })).toBeUndefined();
      const old = (ageMs: number) => webhook(about, { at: new Date(clock.now().getTime() - ageMs) });
      expect(read(old(299_000))).toBeDefined();
      expect(read(old(301_000))).toBeUndefined();
    },
  },
  {
    name: "takes a signed body that is no event, or names what cannot be its own, for unreadable",
    run: async ({ gateway, clock, webhook, signed }) => {
      const read = ({ signature, body }: Webhook) => gateway.parseWebhook(signature, body, clock.now());
      for (const body of ["", "{", "null", "[]", "7", "{}", '{"id":null}', '{"id":""}', '{"id":"evt_\\u0000"}'])
        expect(read(signed(body)), body).toBe("unreadable");
      expect(read(signed(JSON.stringify({ id: `evt_${"1".repeat(300)}` })))).toBe("unreadable");
      for (const about of [null, "", 7, {}, "..", "../operations?x", "auth_1/..", "pi_1\0", "auth_1\0"])
        expect(read(webhook(about)), JSON.stringify(about)).toBe("unreadable");
      for (const prefix of ["auth_", "pi_"])
        expect(read(webhook(`${prefix}${"1".repeat(300)}`)), prefix).toBe("unreadable");
    },
  },
];

/** What every adapter must tell by itself, or when it is told. */
export const recordCases: readonly ContractCase[] = [...books, ...events];
