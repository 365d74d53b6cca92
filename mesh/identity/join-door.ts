import { readFile } from "node:fs/promises";
import { Client, Metadata, status } from "@grpc/grpc-js";
import { CertificateService } from "#gen/mesh/v1/certificate_service.contract.ts";
import type { IssuedCertificate } from "#gen/mesh/v1/certificate_service.ts";
import { epochMs } from "#mesh/clock.ts";
import { JoiningChannelCredentials } from "#mesh/rpc/credentials.ts";
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
 * as the file system does when that cannot be read. Ends with the signal, and leaves no connection behind.
 */
export async function knock(
  { address, trustFile }: JoinDoor,
  request: { readonly token: string; readonly publicKey: Buffer },
  signal: AbortSignal,
): Promise<IssuedCertificate> {
  const trusted = await readFile(trustFile, { encoding: "utf8", signal });
  const { path, requestSerialize, responseDeserialize } = CertificateService.definition.joinMesh;
  const { deadlineMs } = CertificateService.methods.joinMesh;
  const client = new Client(address, new JoiningChannelCredentials(trusted, OWNER), {
    "grpc.enable_channelz": 0,
    "grpc.enable_http_proxy": 0,
    // Each knock has a connection of its own, with the trust of its time.
    "grpc.use_local_subchannel_pool": 1,
  });
  let cancel = (): void => {};
  try {
    return await new Promise((resolve, reject) => {
      const options = { deadline: new Date(epochMs() + deadlineMs) };
      const call = client.makeUnaryRequest(
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
      cancel = () => call.cancel();
      signal.addEventListener("abort", cancel);
    });
  } finally {
    signal.removeEventListener("abort", cancel);
    client.close();
  }
}
