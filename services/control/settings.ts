import { ConfigError, type Environment, type MeshConfig, readListen, readSetting } from "#mesh/config.ts";

/** The settings of the control plane alone. */
export interface ControlSettings {
  /** Where its state is kept. */
  readonly dataDir: string;
  /** The join secret of the mesh, 32 bytes in hex. */
  readonly joinSecret: string;
  /** Where processes come to that have no certificate yet. */
  readonly joinListen: MeshConfig["listen"];
  readonly certificateLifetimeMs: number;
}

const SECRET = /^[0-9a-f]{64}$/;
/** Shorter, and processes did nothing but renew; longer, and a stolen key would be good for too long. */
const MIN_LIFETIME_SECONDS = 10;
const MAX_LIFETIME_SECONDS = 7 * 24 * 3_600;

/** Reads `SHOPMESH_*`. Throws a `ConfigError` that names the first setting which is missing or malformed. */
export function readControlSettings(environment?: Environment): ControlSettings {
  return {
    dataDir: readSetting("SHOPMESH_CONTROL_DATA", { environment }),
    joinSecret: parseSecret(readSetting("SHOPMESH_JOIN_SECRET", { environment })),
    joinListen: readListen("SHOPMESH_JOIN_LISTEN", { default: "127.0.0.1:0", environment }),
    certificateLifetimeMs:
      parseLifetime(readSetting("SHOPMESH_CERTIFICATE_LIFETIME_SECONDS", { default: "3600", environment })) * 1_000,
  };
}

function parseSecret(value: string): string {
  if (!SECRET.test(value)) throw new ConfigError("SHOPMESH_JOIN_SECRET must be 32 bytes in hex, in lower case");
  return value;
}

function parseLifetime(value: string): number {
  const seconds = Number(value);
  if (!/^\d{1,7}$/.test(value) || seconds < MIN_LIFETIME_SECONDS || seconds > MAX_LIFETIME_SECONDS) {
    const range = `${MIN_LIFETIME_SECONDS} to ${MAX_LIFETIME_SECONDS}`;
    throw new ConfigError(`SHOPMESH_CERTIFICATE_LIFETIME_SECONDS must be a whole number of ${range}, not ${value}`);
  }
  return seconds;
}
