import { setTimeout as delay } from "node:timers/promises";
import { type ChannelCredentials, credentials, Metadata, status } from "@grpc/grpc-js";
import {
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus,
  HealthClient,
} from "#gen/grpc/health/v1/health.ts";
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
export async function checkHealth(address: string, timeoutMs: number, peer?: Peer): Promise<Health> {
  const answer = await ask(address, timeoutMs, peer);
  if (typeof answer !== "number") {
    return answer.status === HealthCheckResponse_ServingStatus.SERVING ? "SERVING" : "NOT_SERVING";
  }
  return answer === status.UNAVAILABLE || answer === status.DEADLINE_EXCEEDED ? "UNREACHABLE" : "NOT_SERVING";
}

/** Whether anything came back in time, and be it a refusal: what hangs says nothing at all. Never rejects. */
export async function isHeardOf(address: string, timeoutMs: number, peer: Peer): Promise<boolean> {
  return (await ask(address, timeoutMs, peer)) !== status.DEADLINE_EXCEEDED;
}

/** The answer, or the code of the failure. */
function ask(address: string, timeoutMs: number, peer: Peer | undefined): Promise<HealthCheckResponse | status> {
  const secured = peer === undefined ? credentials.createInsecure() : credentialsFor(peer);
  const client = new HealthClient(address, secured, { "grpc.use_local_subchannel_pool": 1 });
  const deadline = systemClock.now().getTime() + timeoutMs;
  return new Promise((resolve) => {
    client.check({ service: "" }, new Metadata(), { deadline }, (error, response) => {
      client.close();
      resolve(error === null ? response : error.code);
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
