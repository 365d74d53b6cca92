import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { CertificateService } from "#gen/mesh/v1/certificate_service.contract.ts";
import type { IssuedCertificate } from "#gen/mesh/v1/certificate_service.ts";
import { implement } from "#mesh/contract/contract.ts";
import { RpcError } from "#mesh/contract/errors.ts";
import { type Certificates, createCertificateHolder } from "#mesh/identity/certificates.ts";
import { deriveJoinKey, makeJoinToken, verifyJoinToken } from "#mesh/identity/join-token.ts";
import { createMeshNode } from "#mesh/mesh.ts";
import { createLogger } from "#mesh/telemetry/log.ts";
import type { TestAuthority } from "./authority.ts";
import { removeFolder, temporaryFolder } from "./folders.ts";
import { testConfig } from "./mesh.ts";

/** A join door and what control answers behind it, for tests of processes that join: control itself is a service. */
export interface TestJoinDoor {
  /** Where the door is. */
  readonly address: string;
  /** Where further certificates are given out. */
  readonly control: string;
  readonly trustFile: string;
  readonly folder: string;
  readonly secret: string;
  /** What a process gets to join as `service`. */
  environment(service: string): Promise<Readonly<Record<string, string>>>;
  close(): Promise<void>;
}

/** Opens a door at which `authority` gives out certificates, under the certificate `as`. */
export async function openTestJoinDoor(authority: TestAuthority, as?: Certificates): Promise<TestJoinDoor> {
  const secret = "ab".repeat(32);
  const folder = await temporaryFolder();
  const trustFile = join(folder, "trust.pem");
  await writeFile(trustFile, authority.certificate);
  const log = createLogger({ workload: "control", instance: "1", version: "test", level: "silent" });
  const certificates = createCertificateHolder(as ?? (await authority.issue("control")));
  const node = createMeshNode("control", testConfig(), { log, certificates });
  const services = [certificateService(authority, secret)];
  const port = await freePort();
  const server = await node.serve({ services, joinDoor: { listen: { host: "127.0.0.1", port }, services } });
  const address = `127.0.0.1:${port}`;
  return {
    address,
    control: `127.0.0.1:${server.port}`,
    trustFile,
    folder,
    secret,
    environment: async (service) => ({
      SHOPMESH_JOIN: address,
      SHOPMESH_TRUST_FILE: trustFile,
      SHOPMESH_JOIN_TOKEN: await makeJoinToken({
        key: deriveJoinKey(secret, service),
        service,
        id: randomUUID(),
        now: new Date(),
      }),
    }),
    async close() {
      await server.close();
      await removeFolder(folder);
    },
  };
}

const HOUR_MS = 3_600_000;

function certificateService(authority: TestAuthority, secret: string) {
  const certified = async (publicKey: Buffer, service: string): Promise<{ certificate: IssuedCertificate }> => {
    const certificate = await authority.certify(publicKey, service);
    const expireTime = new Date(Date.now() + HOUR_MS);
    return { certificate: { certificate, trustedCertificates: [authority.certificate], generation: 1n, expireTime } };
  };
  const unused = (): never => {
    throw new Error("nobody asks for this here");
  };
  return implement(CertificateService, {
    async joinMesh({ token, publicKey }) {
      const claims = await verifyJoinToken(secret, token, new Date());
      if (claims.ok) return certified(publicKey, claims.value.service);
      throw new RpcError({ code: "UNAUTHENTICATED", reason: "JOIN_TOKEN_INVALID", message: claims.error });
    },
    renewCertificate: ({ publicKey }, { caller }) => certified(publicKey, caller),
    rotateAuthority: unused,
    listAuthorities: unused,
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (typeof address !== "object" || address === null) return reject(new Error("a TCP server has an address"));
      server.close(() => resolve(address.port));
    });
  });
}
