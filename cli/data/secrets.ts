import { randomBytes } from "node:crypto";
import { messageOf, OperatorError } from "../operator-error.ts";
import { readPrivateFile, writePrivateFile } from "./atomic-file.ts";

/** What a data folder keeps secret from run to run. All values are random, of 32 bytes, in hex. */
export interface Secrets {
  /** The password of each service's database role, by service. */
  readonly databasePasswords: Readonly<Record<string, string>>;
  /** The key with which payments opens the payment gateway simulator. */
  readonly simulatorKey: string;
  /** With which the payment gateway simulator signs what it tells payments. */
  readonly webhookSecret: string;
  /** From which the key comes with which each service joins the mesh: whoever has it can be any of them. */
  readonly joinSecret: string;
}

/**
 * Reads the secrets of a data folder, and makes those that are missing: all at first, later those that are
 * new. The file can be read by its owner only. Throws OperatorError when it is not what it should be, rather than
 * making other passwords for databases that are there.
 */
export function loadSecrets(file: string, services: readonly string[]): Secrets {
  const text = readPrivateFile(file);
  const known = text === undefined ? {} : parseSecrets(file, text);
  const databases = known.databasePasswords ?? {};
  const secrets: Secrets = {
    databasePasswords: {
      ...databases,
      ...Object.fromEntries(services.map((service) => [service, databases[service] ?? newSecret()])),
    },
    simulatorKey: known.simulatorKey ?? newSecret(),
    webhookSecret: known.webhookSecret ?? newSecret(),
    joinSecret: known.joinSecret ?? newSecret(),
  };
  const wanted = `${JSON.stringify(secrets, undefined, 2)}\n`;
  if (wanted !== text) writePrivateFile(file, wanted, { durable: true });
  return secrets;
}

/** Those that a data folder has by now. Throws OperatorError as loadSecrets does. */
export function readSecrets(file: string): Partial<Secrets> {
  const text = readPrivateFile(file);
  return text === undefined ? {} : parseSecrets(file, text);
}

/** 32 random bytes in hex. */
function newSecret(): string {
  return randomBytes(32).toString("hex");
}

function parseSecrets(file: string, text: string): Partial<Secrets> {
  const broken = (why: string): OperatorError =>
    new OperatorError(`${file} can't be used: ${why}; put it back from a copy, or begin with another data folder`);
  const value = parseJson(text);
  if (!isRecord(value)) throw broken("it is not a JSON object");
  const { simulatorKey, webhookSecret, joinSecret, databasePasswords } = value;
  if (!isSecretOrNone(simulatorKey)) throw broken("simulatorKey is not a hex string");
  if (!isSecretOrNone(webhookSecret)) throw broken("webhookSecret is not a hex string");
  if (joinSecret !== undefined && !isJoinSecret(joinSecret)) throw broken("joinSecret is not 32 bytes in hex");
  if (databasePasswords !== undefined && !isSecretRecord(databasePasswords)) {
    throw broken("databasePasswords is not an object of hex strings");
  }
  return { simulatorKey, webhookSecret, joinSecret, databasePasswords };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    return messageOf(error);
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSecret(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-f]{32,}$/.test(value);
}

function isJoinSecret(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
}

function isSecretOrNone(value: unknown): value is string | undefined {
  return value === undefined || isSecret(value);
}

function isSecretRecord(value: unknown): value is Readonly<Record<string, string>> {
  return isRecord(value) && Object.values(value).every(isSecret);
}
