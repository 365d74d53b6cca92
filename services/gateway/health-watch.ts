import { constants } from "node:http2";
import {
  HealthCheckRequest,
  HealthCheckResponse,
  HealthService,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "#gen/grpc/health/v1/health.ts";
import type { Health } from "#mesh/rpc/health.ts";
import type { Backend } from "./backend.ts";
import type { BackendSession } from "./backend-session.ts";
import type { Backends } from "./backends.ts";
import { firstMessage, frame } from "./framing.ts";
import type { Routes } from "./routes.ts";

/** Follows the health of the shop until closed. */
export interface HealthWatch {
  close(): void;
}

export interface HealthWatchOptions {
  readonly backends: Backends;
  readonly routes: Pick<Routes, "owners" | "services" | "ownerOf">;
  /** The services without which the shop as a whole does not serve; all owners by default. */
  readonly needed?: readonly string[] | undefined;
  readonly health: Pick<Health, "setServing">;
  /** How often instances are looked for, and a broken watch is begun again. */
  readonly retryMs: number;
}

/**
 * Watches every instance of every public service's owner, over the connections that calls take: an owner serves while
 * one of its instances says so, the shop as a whole while all that are needed do: a contract may be there before its service.
 */
export function watchHealth({ backends, routes, needed, health, retryMs }: HealthWatchOptions): HealthWatch {
  const required = routes.owners.filter((owner) => needed === undefined || needed.includes(owner));
  const watches = new Map<Backend, InstanceWatch>();

  const tell = (): void => {
    const serving = new Set(
      routes.owners.filter((owner) => backends.of(owner).some((backend) => watches.get(backend)?.serving === true)),
    );
    for (const service of routes.services) health.setServing(serving.has(routes.ownerOf(service) ?? ""), service);
    health.setServing(
      required.every((owner) => serving.has(owner)),
      "",
    );
  };
  const round = (): void => {
    const present = new Set(routes.owners.flatMap((owner) => backends.of(owner)));
    for (const [backend, watch] of watches) {
      if (present.has(backend)) continue;
      watch.stop();
      watches.delete(backend);
    }
    for (const backend of present) {
      const watch = watches.get(backend) ?? createInstanceWatch(backend, tell);
      watches.set(backend, watch);
      watch.ensure();
    }
    tell();
  };

  round();
  const timer = setInterval(round, retryMs);
  return {
    close() {
      clearInterval(timer);
      for (const watch of watches.values()) watch.stop();
    },
  };
}

interface InstanceWatch {
  /** What the instance said last; false while nothing is known. */
  readonly serving: boolean;
  /** Begins the watch if it isn't under way. */
  ensure(): void;
  stop(): void;
}

function createInstanceWatch(backend: Backend, onChange: () => void): InstanceWatch {
  let serving = false;
  let running = false;
  let cancel = (): void => undefined;
  const set = (now: boolean): void => {
    if (now === serving) return;
    serving = now;
    onChange();
  };
  const ended = (): void => {
    running = false;
    set(false);
  };
  const begin = async (): Promise<void> => {
    let session = backend.ready();
    if (session === undefined && !backend.isFull()) {
      await backend.connect();
      session = backend.ready();
    }
    if (!running || session === undefined) ended();
    else cancel = openWatch(session, set, ended);
  };
  return {
    get serving() {
      return serving;
    },
    ensure() {
      if (running) return;
      running = true;
      begin().catch(ended);
    },
    stop() {
      cancel();
      ended();
    },
  };
}

/** The whole server's health: each message is five bytes of frame and two of content. */
const WATCH_BODY = frame(HealthCheckRequest.encode({ service: "" }).finish());

/** No health message is longer; a peer that sends more of one isn't speaking this protocol. */
const MAX_MESSAGE_BYTES = 64;

/** Opens a `Watch` stream; returns what cancels it. `onEnd` is called once, however it ends. */
function openWatch(session: BackendSession, onState: (serving: boolean) => void, onEnd: () => void): () => void {
  const headers = {
    ":method": "POST",
    ":path": HealthService.watch.path,
    "content-type": "application/grpc",
    te: "trailers",
  };
  const stream = session.request(headers, { endStream: false });
  const cancel = (): void => stream.close(constants.NGHTTP2_CANCEL);
  let buffered: Buffer = Buffer.alloc(0);
  stream.on("data", (chunk: Buffer) => {
    buffered = Buffer.concat([buffered, chunk]);
    for (;;) {
      const next = firstMessage(buffered);
      if (next === undefined) break;
      buffered = next.rest;
      onState(HealthCheckResponse.decode(next.message).status === ServingStatus.SERVING);
    }
    if (buffered.length > MAX_MESSAGE_BYTES) cancel();
  });
  stream.on("error", () => undefined); // "close" follows
  stream.once("end", cancel);
  stream.once("close", onEnd);
  stream.end(WATCH_BODY);
  return cancel;
}
