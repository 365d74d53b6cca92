import { readFile } from "node:fs/promises";
import type { Logger } from "pino";
import type { CertificateService } from "#gen/mesh/v1/certificate_service.contract.ts";
import type { Clock } from "#mesh/clock.ts";
import type { JoinConfig } from "#mesh/config.ts";
import type { Client } from "#mesh/contract/contract.ts";
import { type CertificateSource, firstCertificates, JOIN_TIMEOUT_MS, JoinError } from "#mesh/identity/certificates.ts";
import { knock } from "#mesh/identity/join-door.ts";
import { makeJoinToken } from "#mesh/identity/join-token.ts";
import { createMembership, type Membership } from "#mesh/identity/membership.ts";
import { newId } from "#mesh/ids.ts";
import type { OwnCall } from "#mesh/rpc/call.ts";
import type { BackgroundOptions } from "#mesh/rpc/call-context.ts";

export interface JoinOptions {
  /** The workload to become. */
  readonly service: string;
  readonly config: JoinConfig;
  /** How control is asked for further certificates. */
  readonly certificates: () => Pick<Client<typeof CertificateService>, "renewCertificate">;
  readonly background: (options: BackgroundOptions) => OwnCall;
  readonly clock: Clock;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
  /** How long it is tried to join before it is given up; a minute unless given. */
  readonly timeoutMs?: number | undefined;
  /** Told once, when there is no certificate and none can be had. */
  readonly onLost: (error: JoinError) => void;
}

const RENEWAL_TIMEOUT_MS = 5_000;

/** Joins, unless there are certificates by other means: control makes its own, and tests are given theirs. */
export function memberOf(given: CertificateSource | undefined, options: () => JoinOptions): Membership {
  return given === undefined ? joinMesh(options()) : memberWith(given);
}

function memberWith(source: CertificateSource): Membership {
  return {
    current: () => source.current(),
    watch: (listener) => source.watch(listener),
    joined: async () => void (await firstCertificates(source)),
    trust: () => undefined,
    close: () => undefined,
  };
}

/** Joins the mesh, in the background and for good: see Membership. */
export function joinMesh(options: JoinOptions): Membership {
  const { service, config, background, clock, log, onLost } = options;
  let certificates: ReturnType<JoinOptions["certificates"]> | undefined;
  const { address, trustFile, proof } = config;
  return createMembership({
    service,
    timeoutMs: options.timeoutMs ?? JOIN_TIMEOUT_MS,
    canRejoin: !("token" in proof),
    join: async (publicKey, signal) => {
      const token = "token" in proof ? proof.token : await makeToken(service, proof, clock);
      return knock({ address, trustFile }, { token, publicKey }, signal);
    },
    renew: async (publicKey, signal) => {
      const call = background({ name: "renew-certificate", timeoutMs: RENEWAL_TIMEOUT_MS, signal });
      try {
        certificates ??= options.certificates();
        const { certificate } = await certificates.renewCertificate({ publicKey }, call);
        if (certificate === undefined) throw new Error("control answered without a certificate");
        return certificate;
      } finally {
        call.done();
      }
    },
    clock,
    random: Math.random,
    log,
    onLost,
  });
}

async function makeToken(
  service: string,
  proof: { readonly key: string } | { readonly keyFile: string },
  clock: Clock,
): Promise<string> {
  const key = "key" in proof ? proof.key : (await readFile(proof.keyFile, "utf8")).trim();
  try {
    return await makeJoinToken({ key, service, id: newId("join"), now: clock.now() });
  } catch (error) {
    if (!(error instanceof TypeError) || !("keyFile" in proof)) throw error;
    throw new JoinError(`${proof.keyFile} holds no join key: 32 bytes in hex`, { cause: error });
  }
}
