import { type CertificateSource, type Certificates, createCertificateHolder } from "#mesh/identity/certificates.ts";
import { createTestAuthority, type TestAuthority } from "./authority.ts";

// One authority for all meshes of a test file, and one certificate for each of its workloads: they are made once.

let authority: Promise<TestAuthority> | undefined;
const issued = new Map<string, Promise<Certificates>>();

/** The authority of this test file. */
export function testAuthority(): Promise<TestAuthority> {
  authority ??= createTestAuthority();
  return authority;
}

/** The certificates of a workload of this test file. */
export function testCertificates(workload: string): Promise<Certificates> {
  const known = issued.get(workload) ?? testAuthority().then((made) => made.issue(workload));
  issued.set(workload, known);
  return known;
}

/** The same as a source, which has them a moment later. */
export function testSource(workload: string): CertificateSource {
  const holder = createCertificateHolder();
  void testCertificates(workload).then(holder.put);
  return holder;
}

/** Certificates as they travel to another process. */
export interface PortableCertificates {
  readonly service: string;
  readonly certificate: string;
  readonly privateKey: string;
  readonly trusted: readonly string[];
}

export function portable({ service, certificate, privateKey, trusted }: Certificates): PortableCertificates {
  return { service, certificate, privateKey, trusted };
}

/** The same in the process that they were made for. */
export function sourceOf(certificates: PortableCertificates): CertificateSource {
  return createCertificateHolder({ ...certificates, expireTime: new Date(), generation: 1n });
}
