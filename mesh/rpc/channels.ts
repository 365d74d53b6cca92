import { Channel, type ChannelInterface, connectivityState } from "@grpc/grpc-js";
import { epochMs } from "#mesh/clock.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { type Discovery, discoveryOptions, targetOf } from "#mesh/discovery/resolver.ts";
import type { CertificateSource } from "#mesh/identity/certificates.ts";
import { WorkloadChannelCredentials } from "#mesh/rpc/credentials.ts";
import { CONTROL_KEEPALIVE, type Keepalive, MAX_MESSAGE_BYTES } from "#mesh/rpc/limits.ts";

/** A way to one service. */
export interface Route {
  readonly channel: ChannelInterface;
  /**
   * Whether a call should wait for the service to come up rather than fail at once. The processes of a shop start
   * side by side in any order, so for the first seconds a service that was never seen is taken to be on its way.
   * One that has been seen and is gone is down, and its callers are told at once, however young this process is.
   */
  readonly waitForReady: boolean;
}

/**
 * The channels of one process: one for each service it calls, shared by all clients, opened by the first call; and one
 * more for streams of requests, if there are any.
 */
export interface Channels {
  /** Throws SERVICE_UNAVAILABLE when the channels have been closed. */
  route(owner: string, kind: TrafficKind): Route;
  close(): void;
}

export type TrafficKind = "calls" | "uploads";

/** How long after the start of a process the services it calls may take to come up. */
export const STARTUP_GRACE_MS = 10_000;

const channelOptions = {
  "grpc.enable_channelz": 0,
  "grpc.enable_http_proxy": 0,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2_000,
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
};

/**
 * Retries are ours (mesh/rpc/attempts.ts). What grpc-js still does by itself, while `grpc.enable_retries` is not 0, is to
 * send again what never left, and once what was refused unread; for that it keeps what is sent until an answer begins. So
 * it takes a stream of requests as fast as it is made and holds it in memory, and goes on writing it after the callee has
 * answered, which turns the answer into a failure. Without the buffer each write waits for the transport, and nothing is
 * sent again. It is an option of the whole channel; on one of their own, uploads leave calls as they are.
 */
const uploadOptions = { "grpc.per_rpc_retry_buffer_size": 0 };

const KEEPALIVE: Keepalive = { timeMs: 30_000, timeoutMs: 10_000 };
/** Nobody else is followed by streams on which nothing may come for hours. */
const CONTROL = "control";

function keepaliveTo(owner: string) {
  const { timeMs, timeoutMs } = owner === CONTROL ? CONTROL_KEEPALIVE : KEEPALIVE;
  return { "grpc.keepalive_time_ms": timeMs, "grpc.keepalive_timeout_ms": timeoutMs };
}

interface Target {
  readonly channel: ChannelInterface;
  seenReady: boolean;
}

/** Opens channels to `mesh:///<owner>` as calls need them. */
export function createChannels(
  discovery: Discovery,
  certificates: CertificateSource,
  startupGraceMs: number = STARTUP_GRACE_MS,
): Channels {
  const graceEndsMs = epochMs() + startupGraceMs;
  const options = { ...channelOptions, ...discoveryOptions(discovery) };
  const kinds = {
    calls: { options, targets: new Map<string, Target>() },
    uploads: { options: { ...options, ...uploadOptions }, targets: new Map<string, Target>() },
  };
  let closed = false;

  return {
    route(owner, kind) {
      if (closed) throw meshFailure("SERVICE_UNAVAILABLE", "this process is shutting down", { remote: true });
      const { options, targets } = kinds[kind];
      let target = targets.get(owner);
      if (target === undefined) {
        target = {
          channel: new Channel(targetOf(owner), new WorkloadChannelCredentials(certificates, owner), {
            ...options,
            ...keepaliveTo(owner),
          }),
          seenReady: false,
        };
        targets.set(owner, target);
      }
      if (!target.seenReady) {
        target.seenReady = target.channel.getConnectivityState(false) === connectivityState.READY;
      }
      return { channel: target.channel, waitForReady: !target.seenReady && epochMs() < graceEndsMs };
    },
    close() {
      closed = true;
      for (const { targets } of Object.values(kinds)) for (const { channel } of targets.values()) channel.close();
    },
  };
}
