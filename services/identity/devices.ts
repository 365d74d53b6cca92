import type { Deps } from "./deps.ts";
import type { DeviceClaim } from "./secrets.ts";

/** Browsers keep nothing for longer either. */
const DEVICE_TOKEN_MS = 400 * 24 * 60 * 60 * 1_000;

/** A customer, as far as device tokens go. */
export interface DeviceOwner {
  readonly id: string;
  readonly passwordHash: string | undefined;
}

/** The device of a token, if it has signed in as this user since the password is what it is. */
export function knownDevice(
  { secrets, clock }: Deps,
  token: string,
  owner: DeviceOwner | undefined,
): string | undefined {
  if (token === "") return undefined;
  const opened = secrets.devices.open(token, clock.now());
  if (!opened.ok || owner?.passwordHash === undefined) return undefined;
  const { userId, deviceId, password } = opened.value;
  const same = userId === owner.id && password === passwordStamp(secrets, owner.passwordHash);
  return same ? deviceId : undefined;
}

/** A token for a device that has just proved to know the password; a new device unless it was known. */
export function deviceToken(
  { secrets, clock, newId }: Deps,
  { userId, passwordHash, deviceId }: { userId: string; passwordHash: string; deviceId: string | undefined },
): string {
  const claim = {
    userId,
    deviceId: deviceId ?? newId("dev"),
    password: passwordStamp(secrets, passwordHash),
  } satisfies DeviceClaim;
  return secrets.devices.seal(claim, new Date(clock.now().getTime() + DEVICE_TOKEN_MS));
}

function passwordStamp(secrets: Deps["secrets"], passwordHash: string): string {
  return secrets.digest(["password", passwordHash]);
}
