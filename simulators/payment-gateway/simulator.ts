import { once } from "node:events";
import type { AddressInfo } from "node:net";
import type { Logger } from "pino";
import { type Clock, systemClock } from "#mesh/clock.ts";
import { type Gateway, openGateway } from "./gateway.ts";
import { createHttpFront } from "./http.ts";
import { openDeliveries } from "./webhooks/deliveries.ts";
import { startWebhookSender, type WebhookSender, type WebhookSettings } from "./webhooks/sender.ts";

const HOST = "127.0.0.1";
const DAY_MS = 24 * 60 * 60 * 1000;

export interface SimulatorOptions {
  /** 0 takes any free port. */
  readonly port: number;
  /** Where the journal is kept; made when missing. One simulator at a time may use it. */
  readonly dataDir: string;
  /** What callers must send as `Authorization: Bearer …`. */
  readonly apiKey: string;
  /** How late the answers about a slow card are; 3,000 unless given. */
  readonly slowMs?: number;
  readonly log: Logger;
  readonly clock?: Clock;
  /** How long an authorization can be captured; 7 days unless given. */
  readonly authorizationLifetimeMs?: number;
  /** Operations that a data folder can hold, the next being refused with 507; 1,000,000 unless given. */
  readonly maxOperations?: number;
  /** Requests under way at once, the next being refused with 503; 1,000 unless given. */
  readonly maxOpenRequests?: number;
  /** How long a request may take to arrive; 15 s unless given. */
  readonly requestTimeoutMs?: number;
  /** Where events are posted; nowhere unless given. */
  readonly webhooks?: WebhookOptions;
}

/** What is not given: 3 days, 0.5 s to 1 h, and no misbehaviour. */
export type WebhookOptions = Pick<WebhookSettings, "url" | "secret"> & Partial<WebhookSettings>;

export interface Simulator {
  readonly url: string;
  readonly port: number;
  /** Finishes what runs, and returns when the port and the journal are closed. */
  close(): Promise<void>;
}

/** Starts a payment gateway on the loopback interface. Throws when its port is taken or its journal is damaged. */
export async function startPaymentGatewaySimulator(options: SimulatorOptions): Promise<Simulator> {
  const { log, clock = systemClock } = options;
  const gateway = await openGateway({
    dataDir: options.dataDir,
    clock,
    authorizationLifetimeMs: options.authorizationLifetimeMs ?? 7 * DAY_MS,
    maxOperations: options.maxOperations ?? 1_000_000,
    onTornTail: (bytes) => log.warn({ bytes }, "cut off a torn last entry of the journal"),
  });
  const webhooks = await openWebhooks(gateway, options);
  const front = createHttpFront({
    gateway,
    webhooks,
    now: () => clock.now(),
    apiKey: options.apiKey,
    slowMs: options.slowMs ?? 3_000,
    maxOpenRequests: options.maxOpenRequests ?? 1_000,
    requestTimeoutMs: options.requestTimeoutMs ?? 15_000,
    log,
  });
  try {
    front.server.listen(options.port, HOST);
    await once(front.server, "listening");
  } catch (error) {
    await webhooks?.close();
    await gateway.close();
    throw error;
  }
  // A server that listens on TCP has an address of this form.
  const { port } = front.server.address() as AddressInfo;
  return {
    url: `http://${HOST}:${port}`,
    port,
    async close() {
      await front.close();
      await webhooks?.close();
      await gateway.close();
    },
  };
}

async function openWebhooks(
  gateway: Gateway,
  { webhooks, dataDir, log, clock = systemClock }: SimulatorOptions,
): Promise<WebhookSender | undefined> {
  if (webhooks === undefined) return undefined;
  // A new receiver hears of what happens from now on.
  const deliveries = await openDeliveries(dataDir, gateway.events.count(), log);
  const settings: WebhookSettings = {
    retryForMs: 3 * DAY_MS,
    backoff: { firstMs: 500, maxMs: 60 * 60 * 1000 },
    copies: 0,
    delayMs: 0,
    shuffleMs: 0,
    ...webhooks,
  };
  return startWebhookSender({ gateway, deliveries, settings, clock, log });
}
