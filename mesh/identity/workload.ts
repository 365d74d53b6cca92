import { createHmac, timingSafeEqual } from "node:crypto";
import type { Metadata } from "@grpc/grpc-js";

/**
 * How a process proves which workload it is, and tells which workload calls it. Mutual TLS will take the place of the
 * shared secret behind this interface.
 */
export interface WorkloadIdentity {
  /** Puts this process's proof on an outgoing call. */
  prove(metadata: Metadata): void;
  /** The workload that sent the call, or undefined when it does not prove to be one. */
  verify(metadata: Metadata): string | undefined;
}

/** Where the gateway says from which address a call came. */
export const CLIENT_ADDRESS_KEY = "shopmesh-client-address";

const CALLER_KEY = "shopmesh-caller";
const PROOF_KEY = "shopmesh-proof";
const WORKLOAD_NAME = /^[a-z][a-z0-9-]{0,31}$/;

/** More workloads than any shop has; beyond it proofs are computed anew instead of remembered. */
const MAX_REMEMBERED_PROOFS = 64;

/** Proves workloads by HMAC-SHA256 of their name under a secret that the processes of one shop share. */
export function sharedSecretIdentity(workload: string, secret: string): WorkloadIdentity {
  const proofs = new Map<string, Buffer>();
  const proofOf = (name: string): Buffer => {
    const remembered = proofs.get(name);
    if (remembered !== undefined) return remembered;
    const proof = Buffer.from(createHmac("sha256", secret).update(name).digest("hex"), "latin1");
    if (proofs.size < MAX_REMEMBERED_PROOFS) proofs.set(name, proof);
    return proof;
  };
  const ownProof = proofOf(workload).toString("latin1");
  return {
    prove(metadata) {
      metadata.set(CALLER_KEY, workload);
      metadata.set(PROOF_KEY, ownProof);
    },
    verify(metadata) {
      const callers = metadata.get(CALLER_KEY);
      const given = metadata.get(PROOF_KEY);
      const [caller] = callers;
      const [proof] = given;
      if (callers.length !== 1 || given.length !== 1) return undefined;
      if (typeof caller !== "string" || typeof proof !== "string" || !WORKLOAD_NAME.test(caller)) return undefined;
      const expected = proofOf(caller);
      const presented = Buffer.from(proof, "latin1");
      return presented.length === expected.length && timingSafeEqual(presented, expected) ? caller : undefined;
    },
  };
}
