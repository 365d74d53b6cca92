/** The settings of one process, read once at its start. This file is the one place of a service that reads the environment. */
export interface MeshConfig {
  /** Where to listen; port 0 takes any free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** The instances of each service as `host:port`, by the name of the service's folder. */
  readonly targets: Readonly<Record<string, readonly string[]>>;
  /** Shared by the processes of one shop; proves who calls until certificates do. */
  readonly secret: string;
  readonly logLevel: LogLevel;
  /** Which instance of the service this is, for logs. */
  readonly instance: string;
  readonly version: string;
  /** The service's own database. Reading it throws a `ConfigError` when none is set. */
  readonly databaseUrl: string;
}

const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

export type Environment = Readonly<Record<string, string | undefined>>;

/** A setting that is missing or malformed. It carries no stack: the message is all that an operator needs. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";

  constructor(message: string) {
    super(message);
    this.stack = `ConfigError: ${message}`;
  }
}

/** Short of this a secret could be guessed. */
const MIN_SECRET_LENGTH = 16;

/** Reads `SHOPMESH_*`. Throws a `ConfigError` that names the first setting which is missing or malformed. */
export function readMeshConfig(environment: Environment = process.env): MeshConfig {
  const databaseUrl = environment.SHOPMESH_DATABASE_URL;
  return {
    listen: parseListen(readSetting("SHOPMESH_LISTEN", { default: "127.0.0.1:0", environment })),
    targets: parseTargets(readSetting("SHOPMESH_TARGETS", { default: "{}", environment })),
    secret: parseSecret(readSetting("SHOPMESH_SECRET", { environment })),
    logLevel: parseLogLevel(readSetting("SHOPMESH_LOG_LEVEL", { default: "info", environment })),
    instance: readSetting("SHOPMESH_INSTANCE", { default: "1", environment }),
    version: readSetting("SHOPMESH_VERSION", { default: "dev", environment }),
    get databaseUrl() {
      if (databaseUrl === undefined || databaseUrl === "") throw missing("SHOPMESH_DATABASE_URL");
      return databaseUrl;
    },
  };
}

/** One more setting of a service's own. Throws a `ConfigError` when it is not set and has no default. */
export function readSetting(
  name: string,
  options: {
    readonly default?: string;
    readonly environment?: Environment;
  } = {},
): string {
  const value = (options.environment ?? process.env)[name];
  if (value !== undefined && value !== "") return value;
  if (options.default !== undefined) return options.default;
  throw missing(name);
}

function missing(name: string): ConfigError {
  return new ConfigError(`${name} is not set`);
}

/** One more address to listen on. Throws as `readSetting` does, and when the value is none. */
export function readListen(name: string, options: Parameters<typeof readSetting>[1] = {}): MeshConfig["listen"] {
  return parseListen(readSetting(name, options), name);
}

function parseListen(value: string, name = "SHOPMESH_LISTEN"): MeshConfig["listen"] {
  const match = /^(?<host>\[[0-9a-fA-F:.]+\]|[^\s:[\]]+):(?<port>\d{1,5})$/.exec(value);
  const port = Number(match?.groups?.port);
  const host = match?.groups?.host;
  if (host === undefined || port > 65_535) {
    throw new ConfigError(`${name} must be host:port, not ${JSON.stringify(value)}`);
  }
  return { host, port };
}

function parseTargets(value: string): MeshConfig["targets"] {
  const wrong = new ConfigError(
    `SHOPMESH_TARGETS must be JSON like {"catalog":["127.0.0.1:4001"]}, not ${JSON.stringify(value)}`,
  );
  let targets: unknown;
  try {
    targets = JSON.parse(value);
  } catch {
    throw wrong;
  }
  if (!isTargets(targets)) throw wrong;
  return targets;
}

function isTargets(value: unknown): value is MeshConfig["targets"] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((addresses) => Array.isArray(addresses) && addresses.every(isAddress));
}

function isAddress(value: unknown): boolean {
  return typeof value === "string" && /^\S+:\d{1,5}$/.test(value);
}

function parseSecret(value: string): string {
  if (value.length < MIN_SECRET_LENGTH) {
    throw new ConfigError(`SHOPMESH_SECRET must be at least ${MIN_SECRET_LENGTH} characters long`);
  }
  return value;
}

function parseLogLevel(value: string): LogLevel {
  const level = logLevels.find((name) => name === value);
  if (level === undefined) throw new ConfigError(`SHOPMESH_LOG_LEVEL must be one of ${logLevels.join(", ")}`);
  return level;
}
