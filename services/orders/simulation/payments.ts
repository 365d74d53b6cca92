import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { failures } from "#mesh/contract/errors.ts";
import type { Authorization, AuthorizationState, GatewayAnswer, PaymentGateway } from "./payment-gateway.ts";
import { ABANDONED, Books, gatewayKey, type Operation } from "./payments-books.ts";
import { paymentHandlers } from "./payments-handlers.ts";
import { type Party, Violation, type World } from "./world.ts";

const fail = failures(PaymentService);

/** How long it waits for the gateway; beyond it the outcome is unknown. */
const GATEWAY_TIMEOUT_MS = 5_000;
/** How long after it was last asked for, an authorization that the gateway has not heard of is given up. */
const ABANDON_AFTER_MS = 15_000;
const SETTLE_AFTER_MS = 15_000;
const SETTLE_INTERVAL_MS = 5_000;
const MAX_SETTLE_BACKOFF_MS = 300_000;

/** Asks the gateway; undefined when nobody knows what came of it. */
export type AskGateway = (
  what: string,
  effect: (gateway: PaymentGateway) => GatewayAnswer | undefined,
) => Promise<{ readonly answer: GatewayAnswer | undefined } | undefined>;

export type Payments = ReturnType<typeof createPayments>;

/** The payments service: it notes each operation, asks the gateway, and notes what came of it. */
export function createPayments(world: World, party: Party, gateway: PaymentGateway, gatewayParty: Party) {
  const books = new Books(world);

  const askGateway: AskGateway = async (what, effect) => {
    const ask = { from: party, to: gatewayParty, what, timeoutMs: GATEWAY_TIMEOUT_MS };
    try {
      return { answer: await world.ask(ask, () => effect(gateway)) };
    } catch (error) {
      if (error instanceof Violation) throw error;
      return undefined;
    }
  };
  const finish = async (operation: Operation, ask = () => askAgain(world, askGateway, operation)): Promise<void> => {
    if (operation.state !== "PENDING") return;
    const { askedMs, keyNumber } = operation;
    const answer = await ask();
    if (answer === undefined) throw fail("OUTCOME_UNKNOWN", operation.id);
    const givenUp = answer.kind === "declined" && answer.code === ABANDONED;
    // Whoever asks for it again has noted that.
    if (givenUp && operation.state === "PENDING" && operation.askedMs !== askedMs)
      throw fail("OUTCOME_UNKNOWN", operation.id);
    books.complete(operation, keyNumber, answer);
  };
  const settleLater = (operation: Operation, attempts = 0): void => {
    const waitMs =
      attempts === 0 ? SETTLE_AFTER_MS : Math.min(SETTLE_INTERVAL_MS * 2 ** (attempts - 1), MAX_SETTLE_BACKOFF_MS);
    world.later(waitMs + world.random() * SETTLE_INTERVAL_MS, () => {
      if (operation.state !== "PENDING") return;
      settleLater(operation, attempts + 1);
      if (party.up && party.pausedUntilMs <= world.nowMs) finish(operation).catch(world.expectFailure);
    });
  };
  const note = (...given: Parameters<typeof books.note>): Operation => {
    const operation = books.note(...given);
    if (operation.state === "PENDING") settleLater(operation);
    return operation;
  };
  const reopen = (...given: Parameters<typeof books.reopen>): Operation => {
    const operation = books.reopen(...given);
    if (operation.state === "PENDING") settleLater(operation);
    return operation;
  };
  const parts: Parts = { world, party, gateway, gatewayParty, books, askGateway, finish };
  gateway.hooks.happened = (authorization) => follow(parts, authorization);
  return {
    service: paymentHandlers({ books, note, reopen, finish, askGateway, world }),
    books,
    payments: books.payments,
    operations: books.operations,
  };
}

/** Under the operation's own key, so that nothing is done twice; what an authorization came to is looked up. */
async function askAgain(
  world: World,
  askGateway: AskGateway,
  operation: Operation,
): Promise<GatewayAnswer | undefined> {
  const { kind, amount, payment, askedMs } = operation;
  const key = gatewayKey(operation);
  const id = payment.reference ?? "";
  switch (kind) {
    case "CAPTURE":
      return (await askGateway(`capture ${key}`, (there) => there.capture({ key, id, amount })))?.answer;
    case "VOID":
      return (await askGateway(`void ${key}`, (there) => there.void({ key, id })))?.answer;
    case "REFUND":
      return (await askGateway(`refund ${key}`, (there) => there.refund({ key, id, amount })))?.answer;
    case "AUTHORIZE": {
      const found = await askGateway(`look up ${key}`, (there) => there.lookUp(key));
      if (found === undefined || found.answer !== undefined) return found?.answer;
      if (world.nowMs - (askedMs ?? 0) < ABANDON_AFTER_MS) return undefined;
      return { kind: "declined", code: ABANDONED };
    }
  }
}

interface Parts {
  readonly world: World;
  readonly party: Party;
  readonly gateway: PaymentGateway;
  readonly gatewayParty: Party;
  readonly books: Books;
  readonly askGateway: AskGateway;
  readonly finish: (operation: Operation) => Promise<void>;
}

/** The sweep for what turns up after it was given up, as soon as it finds something; and the webhook. */
function follow(parts: Parts, authorization: Authorization): void {
  const { world, party, gateway, gatewayParty, books, askGateway } = parts;
  const { id, key } = authorization;
  const voidAbandoned = (): void => {
    const operation = books.operations.get(key);
    if (operation?.failureCode !== ABANDONED || gateway.stateOf(authorization) !== "AUTHORIZED") return;
    if (party.up) void askGateway(`void ${key}:void`, (there) => there.void({ key: `${key}:void`, id }));
    world.later(SETTLE_INTERVAL_MS, voidAbandoned);
  };
  world.later(SETTLE_INTERVAL_MS, voidAbandoned);
  const sendWebhook = (tries: number): void => {
    const ask = { from: gatewayParty, to: party, what: `webhook of ${id}`, timeoutMs: 10_000 };
    world
      .ask(ask, () => bringUpToDate(parts, id))
      .catch((error: unknown) => {
        world.expectFailure(error);
        if (tries > 0) world.later(60_000, () => sendWebhook(tries - 1));
      });
  };
  world.later(world.random() * 5, () => sendWebhook(3));
}

/** Brings a payment to what the gateway says of its authorization. */
async function bringUpToDate({ gateway, books, askGateway, finish }: Parts, reference: string): Promise<void> {
  // The event may come before the answer that tells the authorization's name.
  const order = gateway.authorizations.get(reference)?.reference;
  const all = [...books.payments.values()];
  const payment =
    all.find((row) => row.reference === reference) ??
    all.find((row) => row.reference === undefined && row.orderId === order);
  if (payment === undefined) return;
  if (payment.pending !== undefined) return finish(payment.pending);
  let state: AuthorizationState | undefined;
  const found = await askGateway(`find ${reference}`, (there) => {
    state = there.find(reference);
    return undefined;
  });
  if (found === undefined) throw fail("OUTCOME_UNKNOWN", reference);
  const lapsed = state === "EXPIRED" || state === "VOIDED" ? state : undefined;
  if (lapsed !== undefined && payment.state === "AUTHORIZED" && payment.pending === undefined) payment.state = lapsed;
}
