import { type Logger, pino } from "pino";
import type { CartService } from "#gen/shop/cart/v1/cart_service.contract.ts";
import type { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import type { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import type { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import type { Handlers } from "./clients.ts";
import { createInventory, type Inventory, rememberAnswers } from "./inventory.ts";
import { PaymentGateway } from "./payment-gateway.ts";
import { createPayments, type Payments } from "./payments.ts";
import { type OrdersProcess, startProcess } from "./process.ts";
import type { Schedule } from "./schedule.ts";
import { OrdersTable } from "./table.ts";
import { newParty, type Party, Violation, type World } from "./world.ts";

export const SKUS = ["SKU-A", "SKU-B"] as const;

/** Everybody who takes part in a run. */
export interface Shop {
  readonly world: World;
  readonly log: Logger;
  readonly table: OrdersTable;
  readonly inventory: Inventory;
  readonly payments: Payments;
  readonly gateway: PaymentGateway;
  /** What the callees do with a request. A test that plants a bug puts another in its place. */
  readonly callees: {
    cart: Handlers<typeof CartService>;
    inventory: Handlers<typeof InventoryService>;
    payments: Handlers<typeof PaymentService>;
    shipping: Handlers<typeof ShippingService>;
  };
  readonly parties: Readonly<
    Record<"database" | "cart" | "inventory" | "payments" | "shipping" | "gateway" | "buyers", Party>
  >;
  /** The processes of orders, each with what it is in its present life; undefined while it is down. */
  readonly processes: { readonly party: Party; running: OrdersProcess | undefined }[];
  /** How often each cart was cleared for an order. */
  readonly cartsCleared: Map<string, number>;
}

export function openShop(world: World, { processes, stocked }: Pick<Schedule, "processes" | "stocked">): Shop {
  const parties = {
    database: newParty("database"),
    cart: newParty("cart"),
    inventory: newParty("inventory"),
    payments: newParty("payments"),
    shipping: newParty("shipping"),
    gateway: newParty("gateway"),
    buyers: newParty("buyers"),
  };
  const stock = new Map(SKUS.map((sku, i) => [sku, BigInt(stocked[i] ?? 0)]));
  const inventory = createInventory(world, stock);
  const gateway = new PaymentGateway(world);
  const payments = createPayments(world, parties.payments, gateway, parties.gateway);
  const cartsCleared = new Map<string, number>();
  const shop: Shop = {
    world,
    log: pino({ level: "error" }, { write: (line) => logged(world, line) }),
    table: new OrdersTable(world),
    inventory,
    payments,
    gateway,
    callees: {
      cart: cartHandlers(cartsCleared),
      inventory: inventory.service,
      payments: payments.service,
      shipping: {},
    },
    parties,
    processes: Array.from({ length: processes }, (_, i) => ({
      party: newParty(`orders-${i + 1}`),
      running: undefined,
    })),
    cartsCleared,
  };
  shop.table.hooks.written = () => {
    for (const { running } of shop.processes) running?.noticed();
  };
  for (const process of shop.processes) start(shop, process);
  return shop;
}

/** What is logged as an error: a defect is one of ours. */
function logged(world: World, line: string): void {
  if (line.includes("by a defect")) world.violate(new Violation(line));
}

/** Takes what was ordered out of the cart, once for each key. */
function cartHandlers(cleared: Map<string, number>): Handlers<typeof CartService> {
  const once = rememberAnswers();
  return {
    clearCart: (request) =>
      once("clear", request, () => {
        cleared.set(request.cartId, (cleared.get(request.cartId) ?? 0) + 1);
        return { cart: undefined };
      }),
  };
}

type ProcessSlot = Shop["processes"][number];

function start(shop: Shop, process: ProcessSlot): void {
  process.running = startProcess(shop, process.party);
  process.running.wake();
}

/** Ends a party at once: what it was about to do it never does. It starts again after a time. */
export function crash(shop: Shop, party: Party, downMs: number): void {
  const process = shop.processes.find((one) => one.party === party);
  party.up = false;
  party.life += 1;
  party.pausedUntilMs = 0;
  if (process !== undefined) process.running = undefined;
  const { life } = party;
  shop.world.later(downMs, () => {
    if (party.up || party.life !== life) return;
    shop.world.note(() => `${party.name} starts`);
    party.up = true;
    if (process !== undefined) start(shop, process);
  });
}
