import { createHash } from "node:crypto";
import { join } from "node:path";
import { meshFailure } from "#mesh/contract/errors.ts";
import { type JoinClaims, verifyJoinToken } from "#mesh/identity/join-token.ts";
import { fail, ok, type Result } from "#mesh/result.ts";
import { keepState } from "../files/kept-state.ts";
import { stateFile } from "../files/state-file.ts";
import { type UsedTokens, useToken } from "./domain-tokens.ts";

/** Tells who may join. A token that was good once is good for the same key alone, also after a restart. */
export interface JoinTokens {
  /** The service that the token names, or why it is refused, in words for the log. Throws OVERLOADED. */
  use(token: string, publicKey: Uint8Array, now: Date): Promise<Result<string, string>>;
}

/** Opens the record of used tokens in a folder. `secret` is the join secret of the mesh. */
export async function openJoinTokens(folder: string, secret: string): Promise<JoinTokens> {
  const file = stateFile<UsedTokens>({
    path: join(folder, "join-tokens.json"),
    fromJson: (fields) =>
      fields.list("used", (token) => ({
        service: token.text("service"),
        id: token.text("id"),
        key: token.text("key"),
        expireTime: token.time("expireTime"),
      })),
    toJson: (used) => ({ used }),
    without: "then join tokens of the last ten minutes can be used once more",
  });
  const kept = keepState(file, (await file.read()) ?? [], overloaded);
  return {
    async use(token, publicKey, now) {
      const claims = await verifyJoinToken(secret, token, now);
      if (!claims.ok) return claims;
      const { service }: JoinClaims = claims.value;
      const key = createHash("sha256").update(publicKey).digest("hex");
      const outcome = await kept.change((used) => useToken(used, { ...claims.value, key }, now));
      if (outcome === "too_many") throw overloaded();
      return outcome === "used" ? fail(`it was used for another key of ${service}`) : ok(service);
    },
  };
}

function overloaded(): Error {
  return meshFailure("OVERLOADED", "too many processes join at once", { retryDelayMs: 1_000 });
}
