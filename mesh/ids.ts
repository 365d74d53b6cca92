import { typeid } from "typeid-js";

// The suffix of a TypeID: 128 bits in Crockford's base 32, so that the first of the 26 characters is at most 7.
const SUFFIX = /^[0-7][0-9a-hjkmnp-tv-z]{25}$/;

/**
 * A new id of the form `prefix_suffix` (a TypeID, https://github.com/jetify-com/typeid): unique, opaque to callers,
 * and sortable by the time of its making to the millisecond. `prefix` is lower-case letters, such as `ord`.
 */
export function newId(prefix: string): string {
  return typeid(prefix).toString();
}

/** Whether `text` has the form of an id made by `newId(prefix)`. Says nothing on whether such a thing exists. */
export function isId(prefix: string, text: string): boolean {
  return text.startsWith(`${prefix}_`) && SUFFIX.test(text.slice(prefix.length + 1));
}
