import { createTestAuthority } from "#testing/authority.ts";
import { type PortableCertificates, portable } from "#testing/certificates.ts";

/** Certificates of one authority for each of these workloads, by name, for the processes that a measurement starts. */
export async function makeCertificates<Name extends string>(
  ...workloads: readonly Name[]
): Promise<Readonly<Record<Name, PortableCertificates>>> {
  const authority = await createTestAuthority();
  const entries = workloads.map(async (workload) => [workload, portable(await authority.issue(workload))] as const);
  // Each of the names has its entry.
  return Object.fromEntries(await Promise.all(entries)) as Record<Name, PortableCertificates>;
}
