import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import { CertificateService } from "#gen/mesh/v1/certificate_service.contract.ts";
import type { IssuedCertificate } from "#gen/mesh/v1/certificate_service.ts";
import { checkPeer, TLS_VERSION } from "#mesh/identity/tls.ts";
import { epochMs } from "#mesh/rpc/call-context.ts";
import { decodeFailure } from "#mesh/rpc/status.ts";

/** Who answers at the join door. */
const OWNER = "control";

export interface JoinDoor {
  /** Where it is, as `host:port`. */
  readonly address: string;
  /** A PEM file with the authorities to believe: read at each knock, since control may have another by then. */
  readonly trustFile: string;
}

/**
 * Asks at the join door for the certificate of a public key. Rejects with an `RpcError`: JOIN_TOKEN_INVALID or
 * PUBLIC_KEY_UNUSABLE when it is refused, SERVICE_UNAVAILABLE when there is nobody who is control by the trust file; or
 * as the file system does when that cannot be read.
 */
export async function knock(
  { address, trustFile }: JoinDoor,
  request: { readonly token: string; readonly publicKey: Buffer },
): Promise<IssuedCertificate> {
  const trusted = await readFile(trustFile, "utf8");
  const { path, requestSerialize, responseDeserialize } = CertificateService.definition.joinMesh;
  const { deadlineMs } = CertificateService.methods.joinMesh;
  const secure = credentials.createFromSecureContext(createSecureContext({ ca: trusted, minVersion: TLS_VERSION }), {
    checkServerIdentity: (_, certificate) => checkPeer(certificate, OWNER),
    rejectUnauthorized: true, // whatever the environment says
  });
  const client = new Client(address, secure, {
    "grpc.enable_channelz": 0,
    "grpc.enable_http_proxy": 0,
    // Each knock has a connection of its own, with the trust of its time. An address is no name to ask for in TLS.
    "grpc.use_local_subchannel_pool": 1,
    "grpc.ssl_target_name_override": OWNER,
  });
  try {
    return await new Promise((resolve, reject) => {
      const options = { deadline: new Date(epochMs() + deadlineMs) };
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        new Metadata(),
        options,
        (error, answer) => {
          if (error !== null) return reject(decodeFailure(error, CertificateService.name));
          const certificate = answer?.certificate;
          if (certificate !== undefined) return resolve(certificate);
          const details = "the join door answered without a certificate";
          return reject(
            decodeFailure({ code: status.UNKNOWN, details, metadata: new Metadata() }, CertificateService.name),
          );
        },
      );
    });
  } finally {
    client.close();
  }
}
