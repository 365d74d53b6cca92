import type { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import type { Client } from "#mesh/contract/contract.ts";
import type { SigningKeySource } from "#mesh/identity/key-ring.ts";
import type { Call } from "#mesh/rpc/call.ts";

/** The keys that the identity service publishes. `makeCall` makes the call under which they are asked for. */
export function identityServiceKeys(
  identity: Client<typeof IdentityService>,
  makeCall: (signal: AbortSignal) => Call,
): SigningKeySource {
  return {
    async keys(signal) {
      const { keys } = await identity.getSigningKeys({}, makeCall(signal));
      return keys.map(({ keyId, curve, x }) => ({ kty: "OKP", kid: keyId, crv: curve, x }));
    },
  };
}
