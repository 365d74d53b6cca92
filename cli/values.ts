import { contracts } from "#gen/contracts.ts";
import type { Duration } from "#gen/google/protobuf/duration.ts";
import { Code } from "#gen/google/rpc/code.ts";
import { badUsage, unknownName } from "./usage-error.ts";

/** A span as people write it: `200ms`, `30s`, `5m`, `1h`, `2d`. In milliseconds. Throws OperatorError. */
export function readSpan(option: string, text: string): number {
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? [];
  const unitMs = unitsMs[unit];
  const spanMs = Math.round(Number(amount) * (unitMs ?? Number.NaN));
  if (spanMs > 0) return spanMs;
  throw badUsage(`${option} must be a span such as 200ms, 30s, 5m, 1h or 2d, not "${text}"`);
}

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The same as the contracts have it. */
export function toDuration(spanMs: number): Duration {
  return { seconds: BigInt(Math.floor(spanMs / 1_000)), nanos: (spanMs % 1_000) * 1_000_000 };
}

/** In milliseconds. */
export function fromDuration({ seconds, nanos }: Duration): number {
  return Number(seconds) * 1_000 + nanos / 1_000_000;
}

/** A share of calls, whole per cent. Throws OperatorError. */
export function readPercent(text: string, least: number): number {
  const percent = /^\d{1,3}%?$/.test(text) ? Number.parseInt(text, 10) : Number.NaN;
  if (percent >= least && percent <= 100) return percent;
  throw badUsage(`a share must be a whole number of per cent from ${least} to 100, not "${text}"`);
}

/** A whole number from `least` to `most`. Throws OperatorError. */
export function readCount(option: string, text: string, { least, most }: { least: number; most: number }): number {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (count >= least && count <= most) return count;
  throw badUsage(`${option} must be a number from ${least} to ${most}, not "${text}"`);
}

/** A header and its value, `x-canary=1`; only headers that begin with `x-` decide where a call goes. */
export function readHeader(text: string): { readonly header: string; readonly value: string } {
  const [, header = "", value = ""] = /^(x-[a-z0-9-]{1,60})=(.{1,100})$/.exec(text) ?? [];
  if (header !== "") return { header, value };
  throw badUsage(`--header must look like x-canary=1, in lower case and beginning with x-, not "${text}"`);
}

/** The name of a service or a process. Throws OperatorError when it cannot be one. */
export function readName(text: string): string {
  if (/^[a-z][a-z0-9-]{0,62}$/.test(text)) return text;
  throw badUsage(`"${text}" cannot be the name of a service: lower-case letters, digits and - alone`);
}

/** The version of a build. Throws OperatorError when it cannot be one. */
export function readVersion(text: string): string {
  if (/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/.test(text)) return text;
  throw badUsage(`"${text}" cannot be a version: letters, digits, ., _ and - alone`);
}

/** A status code by its name, `UNAVAILABLE`. Throws OperatorError. */
export function readStatus(text: string): Code {
  const name = text.toUpperCase();
  const known = Object.entries(Code).filter(([, code]) => code !== Code.OK);
  const found = known.find(([candidate]) => candidate === name);
  if (found !== undefined) return found[1];
  throw unknownName(
    "status code",
    text,
    known.map(([candidate]) => candidate),
  );
}

/** The full path of a method of a service, from its name alone (`GetCart`) or as it is. Throws OperatorError. */
export function readMethod(service: string, text: string): string {
  if (/^\/[a-zA-Z0-9_.]+\/[a-zA-Z0-9_]+$/.test(text)) return text;
  const owned = contracts.filter(({ owner }) => owner === service);
  const paths = owned.flatMap(({ definition }) => Object.values(definition).map(({ path }) => path));
  const path = paths.find((candidate) => methodName(candidate) === text);
  if (path !== undefined) return path;
  throw unknownName(`method of ${service}`, text, paths.map(methodName));
}

/** `GetCart`, of `/shop.cart.v1.CartService/GetCart`. */
export function methodName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
