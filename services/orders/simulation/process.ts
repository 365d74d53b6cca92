import { pino } from "pino";
import { CartService } from "#gen/shop/cart/v1/cart_service.contract.ts";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import type { OwnCall } from "#mesh/rpc/call.ts";
import type { OrderChanges } from "../changes.ts";
import type { Order } from "../domain-order.ts";
import { type DriveDeps, drive } from "../drive.ts";
import { defaultRunnerTimings, MAX_CLAIMED_ORDERS } from "../runner.ts";
import { createSteps } from "../steps.ts";
import * as store from "../store-saga.ts";
import { type HeldToken, holdToken, keepOfferedTokens, type OfferedTokens } from "../tokens.ts";
import { simulatedClient } from "./clients.ts";
import { SimulatedDatabase } from "./database.ts";
import type { Shop } from "./shop.ts";
import { bindSleep } from "./sleep.ts";
import { type Happening, type Party, Violation } from "./world.ts";

const timings = defaultRunnerTimings;

/** One process of orders, from its start to its end: it has `drive.ts`, `steps.ts` and `tokens.ts` as they are. */
export interface OrdersProcess {
  readonly db: SimulatedDatabase;
  readonly changes: OrderChanges;
  readonly tokens: OfferedTokens;
  /** Moves on an order that was placed here. */
  start(order: Order, paymentToken: string): void;
  /** Looks for due orders now. */
  wake(): void;
  /** The table was written to: it looks for due orders, and for what others wait for, within half a second. */
  noticed(): void;
  /** Begins nothing new, and lets go of what is not done. */
  close(): void;
}

export function startProcess(shop: Shop, party: Party): OrdersProcess {
  const { world, table } = shop;
  const closing = new AbortController();
  const underWay = new Set<AbortController>();
  const db = new SimulatedDatabase({ world, table, from: party, server: shop.parties.database });
  const changes = localChanges(shop, party);
  const tokens = keepOfferedTokens(timings.tokenMs, world);
  bindSleep(closing.signal, { world, party });
  const deps: DriveDeps = {
    db,
    log: shop.log,
    changes,
    errandsWritten: () => {},
    perform: createSteps({
      ...clientsOf(shop, party),
      background: (options) => backgroundCall(shop, options),
      cartMs: timings.cartMs,
    }),
    random: () => world.random(),
    timings,
    closing: closing.signal,
    underWay,
  };
  const run = (order: Order, placedWith?: HeldToken): void => {
    const offered = tokens.held(order.id);
    const token: HeldToken = { use: () => placedWith?.use() ?? offered.use() };
    drive(deps, order, token).catch((error: unknown) => world.expectFailure(error));
  };
  const pump = startPump({ shop, party, db, tokens, run, closing: closing.signal });
  return {
    db,
    changes,
    tokens,
    start: (order, paymentToken) => run(order, holdToken(paymentToken, timings.tokenMs, world)),
    wake: pump.wake,
    noticed: () => {
      pump.plan();
      changes.noticed();
    },
    close: () => {
      closing.abort();
      world.later(
        timings.closeMs,
        () => {
          for (const call of underWay) call.abort();
        },
        party,
      );
    },
  };
}

interface PumpParts {
  readonly shop: Shop;
  readonly party: Party;
  readonly db: SimulatedDatabase;
  readonly tokens: OfferedTokens;
  readonly run: (order: Order) => void;
  readonly closing: AbortSignal;
}

/** As the pump of `runner.ts`: one claim at a time, and again when woken meanwhile. */
function startPump({ shop, party, db, tokens, run, closing }: PumpParts): { wake(): void; plan(): void } {
  const { world, table } = shop;
  let claiming = false;
  let again = false;
  let next: Happening | undefined;
  const options = { limit: MAX_CLAIMED_ORDERS, leaseMs: timings.leaseMs };

  const claim = async (): Promise<void> => {
    const ids = tokens.orderIds();
    if (ids.length > 0) for (const order of await store.claimForTokens(db, { ...options, ids })) run(order);
    for (const order of await store.claimDueOrders(db, options)) run(order);
  };
  const round = async (): Promise<void> => {
    claiming = true;
    do {
      again = false;
      await claim().catch((error: unknown) => world.expectFailure(error));
    } while (again && !closing.aborted);
    claiming = false;
    plan();
  };
  const wake = (): void => {
    if (closing.aborted) return;
    if (next !== undefined) next.off = true;
    next = undefined;
    if (claiming) again = true;
    else void round();
  };
  const plan = (): void => {
    if (closing.aborted || claiming) return;
    const dueMs = table.nextDueMs(tokens.orderIds());
    if (dueMs === undefined) return;
    const waitMs = Math.max(dueMs - world.nowMs, 0) + 1 + world.random() * timings.claimIntervalMs;
    if (next !== undefined && !next.off && next.atMs <= world.nowMs + waitMs) return;
    if (next !== undefined) next.off = true;
    next = world.later(
      waitMs,
      () => {
        next = undefined;
        wake();
      },
      party,
    );
  };
  return { wake, plan };
}

function clientsOf({ world, parties, callees }: Shop, from: Party) {
  return {
    cart: simulatedClient(CartService, { world, from, to: parties.cart, handlers: () => callees.cart }),
    inventory: simulatedClient(InventoryService, {
      world,
      from,
      to: parties.inventory,
      handlers: () => callees.inventory,
    }),
    shipping: simulatedClient(ShippingService, { world, from, to: parties.shipping, handlers: () => callees.shipping }),
    payments: simulatedClient(PaymentService, { world, from, to: parties.payments, handlers: () => callees.payments }),
  };
}

const silent = pino({ level: "silent" });
const zeros = "0".repeat(32);

function backgroundCall(
  { world }: Shop,
  { name, timeoutMs, signal }: { readonly name: string; readonly timeoutMs: number; readonly signal: AbortSignal },
): OwnCall {
  const codec = (): never => {
    throw new Violation(`background work (${name}) has no request and no response`);
  };
  return {
    method: {
      service: "background",
      name,
      path: `background/${name}`,
      idempotency: "UNKNOWN",
      encodeRequest: codec,
      encodeResponse: codec,
      decodeResponse: codec,
    },
    deadline: world.nowMs + timeoutMs,
    signal,
    caller: "",
    user: undefined,
    clientAddress: "",
    trace: { traceId: zeros, spanId: zeros.slice(16), flags: 0 },
    log: silent,
    done: () => {},
  };
}

/** As `changes.ts`: what this process publishes is seen at once, and what others do within half a second. */
function localChanges({ world, table }: Shop, party: Party): OrderChanges & { noticed(): void } {
  const waits = new Set<() => void>();
  const look = (): void => {
    for (const wait of [...waits]) wait();
  };
  return {
    publish: look,
    noticed: () => {
      if (waits.size > 0) world.later(world.random() * timings.claimIntervalMs, look, party);
    },
    watch: (orderId) => ({
      next: (version, signal) =>
        new Promise((resolve) => {
          const end = (order: Order | undefined): void => {
            waits.delete(check);
            signal.removeEventListener("abort", gone);
            resolve(order);
          };
          const gone = (): void => end(undefined);
          const check = (): void => {
            const order = table.getOrder(orderId);
            if (order !== undefined && order.version > version) end(order);
          };
          signal.addEventListener("abort", gone);
          waits.add(check);
          check();
        }),
      close: () => {},
    }),
    close: async () => {},
  };
}
