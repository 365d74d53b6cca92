import { setTimeout as delay } from "node:timers/promises";
import type { Client } from "@grpc/grpc-js";
import { CallFailure, callUnary, methodName } from "../support/wire.ts";
import { callKind, openClient } from "./clients.ts";
import { type Ask, goShopping, type Purchase } from "./journey.ts";
import { type ClientKind, createRecorder, type Recorder } from "./recorder.ts";

/** Steady shopping, by shoppers who come at their own times however the shop does. */
export interface Load {
  readonly recorder: Recorder;
  /** What was bought, by the shop's own word. */
  readonly purchases: readonly Purchase[];
  /** Shoppers who found too many others still waiting, and left; any at all say that the load was too much. */
  turnedAway(): number;
  /** Lets nobody else come, and waits for who is there. Rejects when a shopper met a defect of ours. Idempotent. */
  stop(): Promise<void>;
}

export interface LoadOptions {
  readonly address: string;
  /** What is bought; stock must not run out. */
  readonly skus: readonly string[];
  /** Shoppers who come each second; each makes about ten calls. */
  readonly shoppersPerSecond: number;
}

const callTimeoutMs = 10_000;
const maxShoppers = 300;
const kinds: readonly ClientKind[] = ["plain", "retrying"];
/** Connections of each kind that stay. One shopper in so many comes with a connection of their own. */
const channelsOfKind = 4;
const newcomerEvery = 5;

/** Begins to shop. Half of the shoppers have plain clients, half such as send again what they may. */
export function startLoad({ address, skus, shoppersPerSecond }: LoadOptions): Load {
  const recorder = createRecorder();
  const purchases: Purchase[] = [];
  const channels = Array.from({ length: channelsOfKind }, () => kinds)
    .flat()
    .map((kind) => ({ kind, client: openClient(address, kind) }));
  const shopping = new Set<Promise<void>>();
  const closing = new AbortController();
  const defects: unknown[] = [];
  let turnedAway = 0;

  const shop = async (number: number): Promise<void> => {
    const chosen = channels[number % channels.length];
    const sku = skus[number % skus.length];
    if (chosen === undefined || sku === undefined) throw new Error("nothing to shop with, or for");
    const isNewcomer = number % newcomerEvery === 0;
    const client = isNewcomer ? openClient(address, chosen.kind) : chosen.client;
    try {
      await goShopping({ ask: recorded(client, chosen.kind, recorder), sku, purchases });
    } finally {
      if (isNewcomer) client.close();
    }
  };
  const come = async (): Promise<void> => {
    const beginMs = performance.now();
    for (let number = 0; !closing.signal.aborted; number++) {
      const waitMs = beginMs + (number * 1_000) / shoppersPerSecond - performance.now();
      await delay(Math.max(0, waitMs), undefined, { signal: closing.signal }).catch(() => {});
      if (closing.signal.aborted) return;
      if (shopping.size >= maxShoppers) {
        turnedAway += 1;
        continue;
      }
      const visit = shop(number)
        .catch((error: unknown) => void defects.push(error))
        .finally(() => shopping.delete(visit));
      shopping.add(visit);
    }
  };
  const coming = come();
  return {
    recorder,
    purchases,
    turnedAway: () => turnedAway,
    async stop() {
      closing.abort();
      await coming;
      await Promise.all(shopping);
      for (const { client } of channels) client.close();
      if (defects.length > 0) throw defects[0];
    },
  };
}

function recorded(client: Client, kind: ClientKind, recorder: Recorder): Ask {
  return async (method, request, token) => {
    const { path } = method;
    const ended = recorder.begin({ client: kind, kind: callKind(path), method: methodName(path) });
    try {
      const response = await callUnary(client, method, request, { token, timeoutMs: callTimeoutMs });
      ended(undefined);
      return response;
    } catch (error) {
      if (error instanceof CallFailure) ended(error);
      throw error;
    }
  };
}
