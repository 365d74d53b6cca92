import { createHmac } from "node:crypto";
import { type Plain, type SealedValues, sealedValues } from "#mesh/sealed-value.ts";

/** What a device token says: this device has signed in as this user, while this was the password. */
export interface DeviceClaim {
  readonly userId: string;
  readonly deviceId: string;
  /** Stands for the password's hash. */
  readonly password: string;
}

/** What identity makes with the key that its processes share. */
export interface Secrets {
  readonly devices: SealedValues<{ readonly [K in keyof DeviceClaim]: string }>;
  /** Stands for something, and tells nobody what. */
  digest(what: Plain): string;
  /** The refresh token that a request makes of the one before: the same however often it is repeated. */
  nextRefreshToken(before: string, requestId: string): string;
}

/** `key` is the sealing key of identity's database. */
export function createSecrets(key: Uint8Array): Secrets {
  const devices = sealedValues<{ readonly [K in keyof DeviceClaim]: string }>({ key, kind: "device", version: 1 });
  return {
    devices,
    digest: devices.digest,
    // Whoever has the key alone can make none, for the token before is in no table; nor can whoever has that alone.
    nextRefreshToken: (before, requestId) =>
      createHmac("sha256", key)
        .update(JSON.stringify(["refresh", before, requestId]))
        .digest("base64url"),
  };
}
