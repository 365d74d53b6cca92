import { setTimeout as delay } from "node:timers/promises";
import { type ChannelCredentials, credentials, Metadata, status } from "@grpc/grpc-js";
import { HealthCheckResponse_ServingStatus, HealthClient } from "#gen/grpc/health/v1/health.ts";
import { systemClock } from "#mesh/clock.ts";
import type { CertificateSource } from "#mesh/identity/certificates.ts";
import { WorkloadChannelCredentials } from "#mesh/rpc/credentials.ts";

/** What a server says of itself as a whole; `UNREACHABLE` when it says nothing. */
export type Health = "SERVING" | "NOT_SERVING" | "UNREACHABLE";

const pollMs = 25;
const attemptMs = 2000;

/** A service that wants a certificate of whoever asks it. */
export interface Peer {
  readonly service: string;
  readonly certificates: CertificateSource;
}

/**
 * Asks whoever listens at `host:port` by `grpc.health.v1`: in the clear, or the service that it is to be. Never rejects;
 * takes at most `timeoutMs`.
 */
export function checkHealth(address: string, timeoutMs: number, peer?: Peer): Promise<Health> {
  const secured = peer === undefined ? credentials.createInsecure() : credentialsFor(peer);
  const client = new HealthClient(address, secured, { "grpc.use_local_subchannel_pool": 1 });
  const deadline = systemClock.now().getTime() + timeoutMs;
  return new Promise((resolve) => {
    client.check({ service: "" }, new Metadata(), { deadline }, (error, response) => {
      client.close();
      if (error === null) {
        return resolve(response.status === HealthCheckResponse_ServingStatus.SERVING ? "SERVING" : "NOT_SERVING");
      }
      const silent = error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED;
      resolve(silent ? "UNREACHABLE" : "NOT_SERVING");
    });
  });
}

function credentialsFor({ certificates, service }: Peer): ChannelCredentials {
  return new WorkloadChannelCredentials(certificates, service);
}

/** Asks again and again until the server serves. Gives the last answer when the signal aborts first. */
export async function waitUntilServing(address: string, signal: AbortSignal): Promise<Health> {
  for (;;) {
    const health = await checkHealth(address, attemptMs);
    if (health === "SERVING" || signal.aborted) return health;
    await delay(pollMs, undefined, { signal }).catch(() => undefined);
  }
}
