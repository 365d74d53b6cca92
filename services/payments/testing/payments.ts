import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { implement } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { type FakeClock, fakeClock } from "#testing/clock.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { startPaymentGatewaySimulator } from "../../../simulators/payment-gateway/simulator.ts";
import type { Deps } from "../deps.ts";
import { simulatorGateway } from "../gateways/simulator-gateway.ts";
import { paymentHandlers } from "../handlers.ts";
import type { PaymentGateway } from "../payment-gateway.ts";

export const API_KEY = "test-key";
export const WEBHOOK_SECRET = "whsec-test";

/** Payments on a real database, with the real payment gateway simulator behind it. */
export interface PaymentsShop {
  readonly database: TestDatabase;
  readonly clock: FakeClock;
  readonly mesh: TestMesh;
  readonly deps: Deps;
  /** The gateway in `deps`, whose parts a test may replace for a while. */
  readonly gateway: Changeable<PaymentGateway>;
  /** What passes each answer of the gateway to a change on to payments, after the change has been made. */
  lose: (answered: Promise<unknown>) => Promise<unknown>;
  /** How often the gateway was asked for a change. */
  asked: number;
  /** The gateway's own books for an order: what it did, in order. */
  movements(orderId: string): Promise<readonly Movement[]>;
  /** The sums of the ledger's lines in EUR, and what the gateway owes by them. */
  books(): Promise<{ debit: bigint; credit: bigint; owed: bigint }>;
  close(): Promise<void>;
}

type Changeable<T> = { -readonly [Part in keyof T]: T[Part] };

export interface Movement {
  readonly authorization_id: string;
  readonly type: string;
  readonly reference: string;
  readonly amount: string;
}

/** Lets the gateway's answers through: the value that `lose` begins with. */
export const passOn = (answered: Promise<unknown>): Promise<unknown> => answered;

/** Lets a change happen at the gateway, and the process end before it can write that down. */
export const dieAfterwards = async (answered: Promise<unknown>): Promise<never> => {
  await answered;
  throw new Error("the process ended here");
};

/** Starts it all; close it when the test ends. */
export async function startPayments(): Promise<PaymentsShop> {
  const log = pino({ level: "silent" });
  const clock = fakeClock();
  const dataDir = await mkdtemp(join(tmpdir(), "shopmesh-payments-"));
  const database = await testDatabase(new URL("../migrations/", import.meta.url));
  const simulator = await startPaymentGatewaySimulator({ port: 0, dataDir, apiKey: API_KEY, slowMs: 200, log, clock });
  const real = simulatorGateway({ url: simulator.url, apiKey: API_KEY, webhookSecret: WEBHOOK_SECRET });
  const gateway = losing(real, (answered) => {
    shop.asked += 1;
    return shop.lose(answered);
  });
  const deps: Deps = { db: database.db, clock, newId, gateway, log, currencyCode: "EUR" };
  const mesh = await startTestMesh({ payments: () => [implement(PaymentService, paymentHandlers(deps))] });
  const shop: PaymentsShop = {
    ...{ database, clock, mesh, deps, gateway, asked: 0, lose: passOn },
    movements: async (orderId) => (await allMovements(simulator.url)).filter(({ reference }) => reference === orderId),
    books: () => books(mesh),
    close: async () => {
      await mesh.close();
      await simulator.close();
      await database.close();
      await rm(dataDir, { recursive: true });
    },
  };
  return shop;
}

/** Another process of payments on the same database, some of whose parts differ, for as long as `use` takes. */
export async function elsewhere<T>(
  shop: PaymentsShop,
  parts: Partial<Deps>,
  use: (orders: ReturnType<typeof ordersOf>) => Promise<T>,
): Promise<T> {
  const handlers = paymentHandlers({ ...shop.deps, ...parts });
  const mesh = await startTestMesh({ payments: () => [implement(PaymentService, handlers)] });
  try {
    return await use(ordersOf(() => ({ mesh, movements: shop.movements })));
  } finally {
    await mesh.close();
  }
}

/** A door that is shut until it is opened, for good. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** The same gateway, whose answers to changes pass through `lose` after they had their effect. */
function losing(real: PaymentGateway, lose: (answered: Promise<unknown>) => Promise<unknown>): PaymentGateway {
  // `lose` gives the same answer, or none at all.
  const through = <T>(answered: Promise<T>): Promise<T> => lose(answered) as Promise<T>;
  return {
    ...real,
    authorize: (request) => through(real.authorize(request)),
    capture: (request) => through(real.capture(request)),
    void: (request) => through(real.void(request)),
    refund: (request) => through(real.refund(request)),
  };
}

async function allMovements(url: string): Promise<readonly Movement[]> {
  const movements: Movement[] = [];
  for (let after = ""; ; ) {
    const response = await fetch(`${url}/v1/transactions?limit=500&after=${after}`, {
      headers: { authorization: `Bearer ${API_KEY}` },
    });
    // The simulator's own tests hold it to this shape.
    const page = (await response.json()) as { transactions: Movement[]; has_more: boolean; next_after: string };
    movements.push(...page.transactions);
    if (!page.has_more) return movements;
    after = page.next_after;
  }
}

async function books(shop: TestMesh): Promise<{ debit: bigint; credit: bigint; owed: bigint }> {
  const mesh = shop.mesh("operator");
  const call = mesh.background({ name: "books", timeoutMs: 5_000 });
  const { balances } = await mesh.client(PaymentService).getLedgerBalances({ currencyCode: "EUR" }, call);
  const sum = (values: bigint[]): bigint => values.reduce((total, value) => total + value, 0n);
  const owed = balances.filter(({ account }) => account === "gateway_receivable");
  return {
    debit: sum(balances.map(({ debitMinorUnits }) => debitMinorUnits)),
    credit: sum(balances.map(({ creditMinorUnits }) => creditMinorUnits)),
    owed: sum(owed.map(({ debitMinorUnits, creditMinorUnits }) => debitMinorUnits - creditMinorUnits)),
  };
}

/** An amount in the shop's currency. */
export const eur = (minorUnits: bigint) => ({ currencyCode: "EUR", minorUnits });

export interface Ask {
  readonly orderId?: string;
  readonly customerId?: string;
  readonly token?: string;
  readonly requestId?: string;
  readonly amount?: { currencyCode: string; minorUnits: bigint };
}

/** What orders asks of payments, in short. */
export function ordersOf(shop: () => Pick<PaymentsShop, "mesh" | "movements">) {
  const node = () => shop().mesh.mesh("orders");
  const call = (): Call => node().background({ name: "test", timeoutMs: 10_000 });
  const client = () => node().client(PaymentService);
  const authorize = (ask: Ask = {}) => {
    const { orderId = newId("ord"), token = "tok_visa", requestId = newId("req"), amount = eur(5_000n) } = ask;
    const { customerId = "usr_payer" } = ask;
    return client().try.authorizePayment({ requestId, orderId, customerId, amount, paymentToken: token }, call());
  };
  const settle = (ask: Ask & { readonly orderId: string; readonly requestId: string }) => {
    const { orderId, requestId, amount = eur(5_000n) } = ask;
    return client().try.settleAuthorization({ requestId, orderId, customerId: "usr_payer", amount }, call());
  };
  const authorized = async (ask: Ask = {}): Promise<string> => {
    const result = await authorize(ask);
    if (!result.ok) throw result.error;
    return result.value.payment?.id ?? "";
  };
  const capture = (paymentId: string, requestId = newId("req")) =>
    client().try.capturePayment({ requestId, paymentId, amount: undefined }, call());
  const captured = async (ask: Ask = {}): Promise<string> => {
    const paymentId = await authorized(ask);
    const result = await capture(paymentId);
    if (!result.ok) throw result.error;
    return paymentId;
  };
  return {
    ...{ authorize, authorized, settle, capture, captured },
    letGo: (paymentId: string, requestId = newId("req")) => client().try.voidPayment({ requestId, paymentId }, call()),
    refund: (paymentId: string, minorUnits: bigint, requestId = newId("req")) =>
      client().try.createRefund({ requestId, paymentId, amount: eur(minorUnits), note: "" }, call()),
    refundNoted: async (paymentId: string, note: string) => {
      const request = { requestId: newId("req"), paymentId, amount: eur(10n), note };
      return (await client().createRefund(request, call())).refund;
    },
    get: async (paymentId: string) => (await client().getPayment({ paymentId }, call())).payment,
    list: async (orderId: string, pageSize = 0, pageToken = "") =>
      client().listPayments({ orderId, pageSize, pageToken }, call()),
    types: async (orderId: string) => (await shop().movements(orderId)).map(({ type }) => type),
  };
}
