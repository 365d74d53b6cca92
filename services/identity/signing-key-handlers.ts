import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import type {
  GetSigningKeysRequest,
  GetSigningKeysResponse,
  RotateSigningKeyRequest,
  RotateSigningKeyResponse,
  SigningKey,
} from "#gen/shop/identity/v1/identity_service.ts";
import { failures } from "#mesh/contract/errors.ts";
import { TOKEN_ALGORITHM } from "#mesh/identity/key-ring.ts";
import { once } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Deps } from "./deps.ts";
import { actorOf, recordEvent } from "./events.ts";
import type { PublicKeyRow } from "./key-store.ts";
import { currentKeys, nextKey, publishNextKey } from "./signing-keys.ts";

const fail = failures(IdentityService);

export const getSigningKeys =
  ({ db, clock }: Deps) =>
  async (_: GetSigningKeysRequest): Promise<GetSigningKeysResponse> => ({
    keys: (await currentKeys(db, clock)).map(keyMessage),
  });

export const rotateSigningKey =
  (deps: Deps) =>
  async (request: RotateSigningKeyRequest, call: Call): Promise<RotateSigningKeyResponse> => {
    const { db, clock, newId } = deps;
    const key = await nextKey(clock, newId);
    return once(db, call, request, clock, async (tx) => {
      if (!(await publishNextKey(tx, key, 0))) {
        throw fail(
          "ROTATION_UNDER_WAY",
          "Another key has been published and does not sign yet; try again when it does.",
        );
      }
      await recordEvent(deps, tx, call, { kind: "signing_key_rotated", userId: undefined, actor: actorOf(call) });
      return { keys: (await currentKeys(tx, clock)).map(keyMessage) };
    });
  };

function keyMessage({ id, x, createTime, signTime, retireTime }: PublicKeyRow): SigningKey {
  return {
    ...{ keyId: id, algorithm: TOKEN_ALGORITHM, curve: "Ed25519", x },
    ...{ createTime, signTime, retireTime: retireTime ?? undefined },
  };
}
