/** The settings of one process, read once at its start. This file is the one place of a service that reads the environment. */
export interface MeshConfig {
  /** Where to listen; port 0 takes any free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** The host at which others reach what listens here. */
  readonly advertise: string;
  /** Where the control plane listens, as `host:port`; undefined where there is none. */
  readonly control: string | undefined;
  /** How services are found: by the control plane, or by names that the network resolves. */
  readonly discovery: Discovery;
  /** With `dns`, under which name each service is found: `{service}.shop.svc.cluster.local:9000`. */
  readonly dnsTarget: string | undefined;
  /**
   * The instances of services as `host:port`, by the name of the service's folder: those named here are found here,
   * whatever else says where they are.
   */
  readonly targets: Readonly<Record<string, readonly string[]>>;
  /** How this process joins the mesh. Reading it throws a `ConfigError` when that is not said. */
  readonly join: JoinConfig;
  readonly logLevel: LogLevel;
  /** Which instance of the service this is: `cart-2`, or a number. */
  readonly instance: string;
  /** Which build this is; splits of traffic name it. */
  readonly version: string;
  /** The service's own database. Reading it throws a `ConfigError` when none is set. */
  readonly databaseUrl: string;
}

/** How a process joins the mesh. */
export interface JoinConfig {
  /** Where the join door is: `host:port`. */
  readonly address: string;
  /** A PEM file with the authorities to believe there. */
  readonly trustFile: string;
  /** A token for this start alone; or the join key of the service, or a file with it, to make tokens by itself. */
  readonly proof: { readonly token: string } | { readonly keyFile: string } | { readonly key: string };
}

const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

const discoveries = ["mesh", "dns"] as const;
export type Discovery = (typeof discoveries)[number];

export type Environment = Readonly<Record<string, string | undefined>>;

/** A setting that is missing or malformed. It carries no stack: the message is all that an operator needs. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";

  constructor(message: string) {
    super(message);
    this.stack = `ConfigError: ${message}`;
  }
}

/** Reads `SHOPMESH_*`. Throws a `ConfigError` that names the first setting which is missing or malformed. */
export function readMeshConfig(environment: Environment = process.env): MeshConfig {
  const databaseUrl = environment.SHOPMESH_DATABASE_URL;
  const listen = parseListen(readSetting("SHOPMESH_LISTEN", { default: "127.0.0.1:0", environment }));
  const discovery = parseDiscovery(readSetting("SHOPMESH_DISCOVERY", { default: "mesh", environment }));
  return {
    listen,
    advertise: parseAdvertise(readSetting("SHOPMESH_ADVERTISE", { default: listen.host, environment })),
    control: parseControl(readSetting("SHOPMESH_CONTROL", { default: "", environment })),
    discovery,
    dnsTarget: parseDnsTarget(readSetting("SHOPMESH_DNS_TARGET", { default: "", environment }), discovery),
    targets: parseTargets(readSetting("SHOPMESH_TARGETS", { default: "{}", environment })),
    get join() {
      return readJoinConfig(environment);
    },
    logLevel: parseLogLevel(readSetting("SHOPMESH_LOG_LEVEL", { default: "info", environment })),
    instance: parseName("SHOPMESH_INSTANCE", { default: "1", environment }, /^[a-z0-9][a-z0-9-]{0,62}$/),
    version: parseName("SHOPMESH_VERSION", { default: "dev", environment }, /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/),
    get databaseUrl() {
      if (databaseUrl === undefined || databaseUrl === "") throw missing("SHOPMESH_DATABASE_URL");
      return databaseUrl;
    },
  };
}

function readJoinConfig(environment: Environment): JoinConfig {
  const address = readSetting("SHOPMESH_JOIN", { environment });
  if (!isAddress(address)) throw new ConfigError(`SHOPMESH_JOIN must be host:port, not ${JSON.stringify(address)}`);
  const trustFile = readSetting("SHOPMESH_TRUST_FILE", { environment });
  const token = readSetting("SHOPMESH_JOIN_TOKEN", { default: "", environment });
  const keyFile = readSetting("SHOPMESH_JOIN_KEY_FILE", { default: "", environment });
  if ((token === "") === (keyFile === "")) {
    throw new ConfigError("one of SHOPMESH_JOIN_TOKEN and SHOPMESH_JOIN_KEY_FILE must be set");
  }
  return { address, trustFile, proof: token === "" ? { keyFile } : { token } };
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

function parseAdvertise(value: string): string {
  const host = value.replace(/^\[(.*)\]$/, "$1");
  if (!/^[^\s[\]/]{1,253}$/.test(host)) {
    throw new ConfigError(`SHOPMESH_ADVERTISE must be a name or an address, not ${JSON.stringify(value)}`);
  }
  return host;
}

function parseControl(value: string): string | undefined {
  if (value === "") return undefined;
  if (!isAddress(value)) throw new ConfigError(`SHOPMESH_CONTROL must be host:port, not ${JSON.stringify(value)}`);
  return value;
}

function parseDiscovery(value: string): Discovery {
  const discovery = discoveries.find((name) => name === value);
  if (discovery === undefined) throw new ConfigError(`SHOPMESH_DISCOVERY must be one of ${discoveries.join(", ")}`);
  return discovery;
}

function parseDnsTarget(value: string, discovery: Discovery): string | undefined {
  if (discovery !== "dns") return undefined;
  if (!/^[^\s:]*\{service\}[^\s:{}]*:\d{1,5}$/.test(value)) {
    throw new ConfigError(
      `SHOPMESH_DNS_TARGET must be like {service}.shop.svc.cluster.local:9000, not ${JSON.stringify(value)}`,
    );
  }
  return value;
}

function parseName(name: string, options: Parameters<typeof readSetting>[1], form: RegExp): string {
  const value = readSetting(name, options);
  if (!form.test(value)) throw new ConfigError(`${name} must match ${form.source}, not ${JSON.stringify(value)}`);
  return value;
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

function parseLogLevel(value: string): LogLevel {
  const level = logLevels.find((name) => name === value);
  if (level === undefined) throw new ConfigError(`SHOPMESH_LOG_LEVEL must be one of ${logLevels.join(", ")}`);
  return level;
}
