import { resolve } from "node:path";
import { exitCodes, OperatorError } from "./operator-error.ts";

/** All that the operator decides. */
export interface Settings {
  /** The public port on 127.0.0.1. */
  readonly port: number;
  /** The folder of everything that is kept, absolute. */
  readonly dataDir: string;
  /** A PostgreSQL of the operator's own, as its administrator; without it one is started in the data folder. */
  readonly postgresUrl: string | undefined;
  /** What the names of the shop's databases and roles begin with; sets several shops on one PostgreSQL apart. */
  readonly postgresPrefix: string;
  /** What the services log. */
  readonly logLevel: LogLevel;
  /** Whether the terminal shows every line that the services log. */
  readonly verbose: boolean;
  /** How many processes of each service run; one, of those that are not named. */
  readonly instances: Readonly<Record<string, number>>;
}

/** The most processes of one service. */
const maxInstances = 8;

/** Levels as pino names them. */
export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Values from the command line; each stands above the environment's. */
export interface SettingFlags {
  readonly port?: string;
  readonly data?: string;
  readonly logLevel?: string;
  readonly verbose?: boolean;
  readonly instances?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the settings, flags before environment before defaults. An empty variable counts as none.
 * Throws OperatorError (exit code 2) that names the setting and what it should be.
 */
export function readSettings(env: Environment, flags: SettingFlags = {}, cwd: string = process.cwd()): Settings {
  const pick = (flag: string | undefined, flagName: string, variable: string): Source | undefined => {
    if (flag !== undefined) return { name: flagName, value: flag };
    const value = env[variable];
    return value === undefined || value === "" ? undefined : { name: variable, value };
  };
  const logLevel = readLogLevel(pick(flags.logLevel, "--log-level", "SHOPMESH_LOG_LEVEL"));
  return {
    port: readPort(pick(flags.port, "--port", "SHOPMESH_PORT")),
    dataDir: resolve(cwd, pick(flags.data, "--data", "SHOPMESH_DATA")?.value ?? ".shopmesh"),
    // No flags for these: the arguments of a process can be read by every user, and the address holds a password.
    postgresUrl: readPostgresUrl(pick(undefined, "", "SHOPMESH_POSTGRES_URL")),
    postgresPrefix: readPostgresPrefix(pick(undefined, "", "SHOPMESH_POSTGRES_PREFIX")),
    logLevel,
    verbose: flags.verbose === true || logLevel === "debug" || logLevel === "trace",
    instances: readInstances(pick(flags.instances, "--instances", "SHOPMESH_INSTANCES")),
  };
}

/**
 * Whether to write in colour: FORCE_COLOR decides first (`0` and `false` say no), then NO_COLOR, then whether
 * somebody is looking, as Node.js itself does.
 */
export function wantsColour(env: Environment, isTerminal: boolean): boolean {
  const force = env.FORCE_COLOR;
  if (force !== undefined) return force !== "0" && force !== "false";
  if (env.NO_COLOR !== undefined && env.NO_COLOR !== "") return false;
  return isTerminal && env.TERM !== "dumb";
}

interface Source {
  readonly name: string;
  readonly value: string;
}

function readPort(source: Source | undefined): number {
  if (source === undefined) return 8080;
  const port = Number(source.value);
  if (!/^\d{1,5}$/.test(source.value) || port < 1 || port > 65_535) {
    throw refused(source, `must be a port from 1 to 65535, not "${source.value}"`);
  }
  return port;
}

function readLogLevel(source: Source | undefined): LogLevel {
  if (source === undefined) return "info";
  const level = logLevels.find((known) => known === source.value);
  if (level === undefined) throw refused(source, `must be one of ${logLevels.join(", ")}, not "${source.value}"`);
  return level;
}

function readInstances(source: Source | undefined): Settings["instances"] {
  if (source === undefined) return {};
  const read = (part: string): readonly [string, number] => {
    const [, name = "", count = ""] = /^([a-z][a-z-]*)=(\d)$/.exec(part) ?? [];
    if (Number(count) >= 1 && Number(count) <= maxInstances) return [name, Number(count)];
    throw refused(source, `must look like orders=2,payments=2, with 1 to ${maxInstances} of each, not "${part}"`);
  };
  return Object.fromEntries(source.value.split(",").map((part) => read(part.trim())));
}

// The value is never repeated in an error: it holds a password.
function readPostgresUrl(source: Source | undefined): string | undefined {
  if (source === undefined) return undefined;
  const shape = "must look like postgres://user:password@host:5432/postgres";
  if (!URL.canParse(source.value)) throw refused(source, shape);
  const url = new URL(source.value);
  const known = url.protocol === "postgres:" || url.protocol === "postgresql:";
  if (!known || url.hostname === "") throw refused(source, shape);
  return source.value;
}

function readPostgresPrefix(source: Source | undefined): string {
  if (source === undefined) return "shopmesh";
  if (/^[a-z][a-z0-9_]{0,31}$/.test(source.value)) return source.value;
  throw refused(source, "must be a lower-case letter and up to 31 letters, digits and _");
}

function refused(source: Source, rule: string): OperatorError {
  return new OperatorError(`${source.name} ${rule}`, { exitCode: exitCodes.usage });
}
