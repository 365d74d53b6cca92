import { CertificateService } from "#gen/mesh/v1/certificate_service.contract.ts";
import {
  type Authority as AuthorityMessage,
  AuthorityState,
  type IssuedCertificate,
  type JoinMeshRequest,
  type JoinMeshResponse,
  type ListAuthoritiesResponse,
  type RenewCertificateRequest,
  type RenewCertificateResponse,
  type RotateAuthorityRequest,
  type RotateAuthorityResponse,
} from "#gen/mesh/v1/certificate_service.ts";
import type { Clock } from "#mesh/clock.ts";
import type { Handlers } from "#mesh/contract/contract.ts";
import { failures } from "#mesh/contract/errors.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Issued, MeshAuthority } from "./authority.ts";
import type { Authority } from "./domain.ts";
import { type UsableKey, usableKey } from "./issuer.ts";
import type { JoinTokens } from "./join-tokens.ts";

const fail = failures(CertificateService);

/** What the handlers work with. */
export interface CertificateDeps {
  readonly authority: MeshAuthority;
  readonly tokens: JoinTokens;
  readonly clock: Clock;
}

/** The handlers of `mesh.v1.CertificateService`. */
export function certificateHandlers(deps: CertificateDeps): Handlers<typeof CertificateService> {
  return {
    joinMesh: joinMesh(deps),
    renewCertificate: renewCertificate(deps),
    rotateAuthority: rotateAuthority(deps),
    listAuthorities: listAuthorities(deps),
  };
}

const joinMesh =
  ({ authority, tokens, clock }: CertificateDeps) =>
  async ({ token, publicKey }: JoinMeshRequest, call: Call): Promise<JoinMeshResponse> => {
    // First, so that a key that is none does not use up the token.
    const key = readKey(publicKey);
    const service = await tokens.use(token, key, clock.now());
    if (!service.ok) {
      call.log.warn({ cause: service.error }, "a join token is refused");
      throw fail("JOIN_TOKEN_INVALID", "The join token is not good here, or no more.");
    }
    call.log.info({ joined: service.value }, "a process has joined");
    return { certificate: issuedMessage(await authority.issue(service.value, key)) };
  };

const renewCertificate =
  ({ authority }: CertificateDeps) =>
  async ({ publicKey }: RenewCertificateRequest, call: Call): Promise<RenewCertificateResponse> => ({
    certificate: issuedMessage(await authority.issue(call.caller, readKey(publicKey))),
  });

const rotateAuthority =
  ({ authority }: CertificateDeps) =>
  async ({ requestId }: RotateAuthorityRequest, { caller }: Call): Promise<RotateAuthorityResponse> => {
    const isBegun = await authority.rotate({ caller, requestId });
    if (!isBegun) throw fail("ROTATION_UNDER_WAY", "The authority is being rotated; try again when that is over.");
    return { authorities: authority.list().map(authorityMessage) };
  };

const listAuthorities =
  ({ authority }: CertificateDeps) =>
  async (): Promise<ListAuthoritiesResponse> => ({ authorities: authority.list().map(authorityMessage) });

function readKey(publicKey: Uint8Array): UsableKey {
  const key = usableKey(publicKey);
  if (key === undefined) throw fail("PUBLIC_KEY_UNUSABLE", "The public key is no key on P-256 in DER.");
  return key;
}

function issuedMessage({ certificate, trusted, generation, expireTime }: Issued): IssuedCertificate {
  return { certificate, trustedCertificates: trusted, generation: BigInt(generation), expireTime };
}

function authorityMessage({ generation, state, fingerprint, createTime, expireTime }: Authority): AuthorityMessage {
  return { generation: BigInt(generation), state: AuthorityState[state], fingerprint, createTime, expireTime };
}
