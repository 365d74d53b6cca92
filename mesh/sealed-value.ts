import { createHmac, timingSafeEqual } from "node:crypto";
import { fail, ok, type Result } from "./result.ts";

/**
 * Values that a service hands out as text and takes back later, without keeping them: the text carries the value, and
 * proves that this service made it, for this use, until when it is good. Everybody can read it; nobody without the key
 * can make or change one.
 */
export interface SealedValues<T extends Plain> {
  /** The text for a value: `<kind>_…`, about a third longer than the value's JSON. */
  seal(value: T, expireTime: Date): string;
  /** The value of a text that `seal` gave. One that has expired comes as a failure, and with it. */
  open(text: string, now: Date): Result<T, SealError<T>>;
  /**
   * Stands in a sealed value for something that must be the same when it comes back, in 22 characters. Without the key
   * nobody can tell what it stands for by trying.
   */
  digest(what: Plain): string;
}

/** What JSON holds: it comes back as it was. */
export type Plain = string | number | boolean | readonly Plain[] | { readonly [name: string]: Plain };

/** Why a text is not good. */
export type SealError<T> =
  | { readonly kind: "not_authentic" }
  | { readonly kind: "expired"; readonly value: T; readonly expireTime: Date };

/** A longer text is no sealed value, and is not looked at. */
export const MAX_SEALED_LENGTH = 2_048;

/** The length of a key, in bytes. */
export const SEALING_KEY_BYTES = 32;

const MAC_BYTES = 32;
const DIGEST_BYTES = 16;

/**
 * Seals and opens values of one kind. The kind is part of the seal: what was sealed as one is not authentic as another,
 * under the same key. So is the version, which rises when the form of the values changes, for old texts would be taken
 * for new ones otherwise.
 */
export function sealedValues<T extends Plain>(options: {
  readonly key: Uint8Array;
  /** Lower-case letters; what the texts begin with. */
  readonly kind: string;
  readonly version: number;
}): SealedValues<T> {
  const { key, kind, version } = options;
  if (key.length !== SEALING_KEY_BYTES) throw new Error(`a sealing key has ${SEALING_KEY_BYTES} bytes`);
  const prefix = `${kind}_`;
  // JSON puts no zero byte into what follows, so no two of these inputs are alike.
  const hmac = (use: string, bytes: Uint8Array) =>
    createHmac("sha256", key).update(`${use}\0${kind}\0${version}\0`).update(bytes).digest();
  return {
    seal: (value, expireTime) => {
      const payload = Buffer.from(JSON.stringify([expireTime.getTime(), value]));
      return prefix + Buffer.concat([hmac("seal", payload), payload]).toString("base64url");
    },
    open: (text, now) => {
      const payload = openText(text, prefix, (bytes) => hmac("seal", bytes));
      if (payload === undefined) return fail({ kind: "not_authentic" });
      // Holds because only `seal` makes what the seal fits, and the kind and its version are part of it.
      const [expireMs, value] = JSON.parse(payload.toString("utf8")) as readonly [number, T];
      if (now.getTime() < expireMs) return ok(value);
      return fail({ kind: "expired", value, expireTime: new Date(expireMs) });
    },
    digest: (what) =>
      hmac("digest", Buffer.from(JSON.stringify(what)))
        .subarray(0, DIGEST_BYTES)
        .toString("base64url"),
  };
}

function openText(text: string, prefix: string, macOf: (payload: Buffer) => Buffer): Buffer | undefined {
  if (text.length > MAX_SEALED_LENGTH || !text.startsWith(prefix)) return undefined;
  const body = text.slice(prefix.length);
  const bytes = Buffer.from(body, "base64url");
  // Decoding passes over what is not base64, and each value has one text alone.
  if (bytes.length <= MAC_BYTES || bytes.toString("base64url") !== body) return undefined;
  const payload = bytes.subarray(MAC_BYTES);
  return timingSafeEqual(bytes.subarray(0, MAC_BYTES), macOf(payload)) ? payload : undefined;
}
