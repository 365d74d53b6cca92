import { type DescExtension, type DescField, type DescMessage, getOption, type Registry } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import type { Violation } from "#mesh/contract/errors.ts";

/**
 * Finds lists that are longer than the contract allows, on the bytes of a request, before anything is made of them.
 * Validation proper costs some 10 µs an item, and a few kilobytes on the wire can hold millions of empty ones; a walk
 * over the tags costs a hundredth of that.
 */
export type ItemLimits = (type: DescMessage, bytes: Uint8Array) => Violation | undefined;

/** Of a list for which the contract names no limit. */
const DEFAULT_MAX_ITEMS = 1_000;
/** Deeper nesting than this is refused by the decoder. */
const MAX_DEPTH = 100;

interface Limited {
  readonly name: string;
  /** How many of it one message may hold; undefined where it is no list. */
  readonly maxItems: number | undefined;
  /** What each of it is, where it is a message. */
  readonly message: DescMessage | undefined;
}

/** Reads the limits from the option `buf.validate.field` (`repeated.max_items`, `map.max_pairs`) of the descriptors. */
export function createItemLimits(registry: Registry): ItemLimits {
  const rules = registry.getExtension("buf.validate.field");
  const known = new Map<DescMessage, ReadonlyMap<number, Limited>>();

  const limitsOf = (type: DescMessage): ReadonlyMap<number, Limited> => {
    const limits = known.get(type) ?? new Map(type.fields.map((field) => [field.number, limitOf(field, rules)]));
    known.set(type, limits);
    return limits;
  };

  const walk = (type: DescMessage, bytes: Uint8Array, path: string, depth: number): Violation | undefined => {
    const limits = limitsOf(type);
    const counts = new Map<number, number>();
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      const [number, wireType] = reader.tag();
      const limited = limits.get(number);
      const count = (counts.get(number) ?? 0) + 1;
      counts.set(number, count);
      if (limited?.maxItems !== undefined && count > limited.maxItems)
        return tooMany(path + limited.name, limited.maxItems);
      if (wireType !== WireType.LengthDelimited) {
        reader.skip(wireType, number);
        continue;
      }
      const value = reader.bytes();
      if (limited?.message === undefined || depth === MAX_DEPTH) continue;
      const at = limited.maxItems === undefined ? "" : `[${count - 1}]`;
      const found = walk(limited.message, value, `${path}${limited.name}${at}.`, depth + 1);
      if (found !== undefined) return found;
    }
    return undefined;
  };

  return (type, bytes) => {
    try {
      return walk(type, bytes, "", 0);
    } catch {
      return undefined; // cut short, or no message at all: the decoder says what is wrong
    }
  };
}

function limitOf(field: DescField, rules: DescExtension | undefined): Limited {
  const { name } = field;
  // What a service checks by itself is left to it.
  if (ignoresRules(field, rules)) return { name, maxItems: undefined, message: undefined };
  const message = field.fieldKind === "list" || field.fieldKind === "message" ? field.message : undefined;
  if (field.fieldKind !== "list" && field.fieldKind !== "map") return { name, maxItems: undefined, message };
  return { name, maxItems: ruleOf(field, rules) ?? DEFAULT_MAX_ITEMS, message };
}

function ruleOf(field: DescField, rules: DescExtension | undefined): number | undefined {
  const option = rules && getOption(field, rules);
  const kind = member(option, "type");
  const limit = member(member(kind, "value"), field.fieldKind === "map" ? "maxPairs" : "maxItems");
  return typeof limit === "bigint" && limit > 0n ? Number(limit) : undefined;
}

/** Whether the rules of a field are ignored always (`buf.validate.IGNORE_ALWAYS`): its service checks it by itself. */
export function ignoresRules(field: DescField, rules: DescExtension | undefined): boolean {
  return member(rules && getOption(field, rules), "ignore") === IGNORE_ALWAYS;
}

/** buf.validate.Ignore */
const IGNORE_ALWAYS = 3;

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

function tooMany(field: string, maxItems: number): Violation {
  return { field, description: `must contain no more than ${maxItems} item(s)`, reason: "repeated.max_items" };
}
