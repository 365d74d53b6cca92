import type { PeerCertificate } from "node:tls";

const TRUST_DOMAIN = "shopmesh";
// The whole of what Node makes of a certificate's names: a second one, of whatever kind, does not match.
const ONLY_NAME = new RegExp(`^URI:spiffe://${TRUST_DOMAIN}/([a-z][a-z0-9-]{0,62})$`);

/** The name of a workload in its certificate, a SPIFFE id (https://spiffe.io): `spiffe://shopmesh/orders`. */
export function workloadUri(workload: string): string {
  return `spiffe://${TRUST_DOMAIN}/${workload}`;
}

/**
 * The workload that a certificate names; undefined unless it has exactly one name, and that a workload's. Says nothing
 * on who signed it.
 */
export function workloadOf({ subjectaltname }: Partial<Pick<PeerCertificate, "subjectaltname">>): string | undefined {
  return subjectaltname === undefined ? undefined : ONLY_NAME.exec(subjectaltname)?.[1];
}
