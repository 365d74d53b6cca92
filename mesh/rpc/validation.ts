import { createFileRegistry, type DescMessage, fromBinary, type Registry } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { createValidator, type Validator } from "@bufbuild/protovalidate";
import { invalidArgument, type Violation } from "#mesh/contract/errors.ts";
import { createItemLimits, type ItemLimits } from "#mesh/rpc/item-limits.ts";
import type { Method } from "#mesh/rpc/method.ts";
import { createNulTexts, type NulTexts } from "#mesh/rpc/nul-text.ts";
import { compileQuickCheck } from "#mesh/rpc/quick-check.ts";

/** Reads the bytes of one request into the typed message. Throws INVALID_REQUEST with every broken rule. */
export type RequestReader = (bytes: Buffer) => unknown;

/** Makes the reader of a method. Throws when the descriptors do not hold its request type. */
export type RequestReaders = (method: Pick<Method, "policy" | "decodeRequest">) => RequestReader;

/** Checks the bytes of one request: returns every broken rule, none when the request is good. */
export type RequestCheck = (bytes: Uint8Array) => readonly Violation[];

/** Makes the check of a request type by its full name. Throws when the descriptors do not hold the type. */
export type RequestValidator = (typeName: string) => RequestCheck;

/** Deeper nesting than this is refused; the typed decoder stops at the same depth. */
const MAX_DEPTH = 100;
/** An item takes two bytes at least, so fewer than this hold no list that is costly to decode. */
const SMALL_REQUEST_BYTES = 2_000;

/**
 * Reads requests by the rules in a serialized `google.protobuf.FileDescriptorSet` (protovalidate's options). Nearly
 * all are good, and a quick check of the typed message tells so; in any doubt the bytes are checked in full.
 */
export function createRequestReaders(descriptors: () => Uint8Array): RequestReaders {
  const load = createLoader(descriptors);
  return ({ policy, decodeRequest }) => {
    const { registry, ...checks } = load();
    const type = typeOf(registry, policy.request);
    const isCertainlyGood = compileQuickCheck(type) ?? (() => false);
    return (bytes) => {
      const tooMany = bytes.length > SMALL_REQUEST_BYTES ? checks.itemLimits(type, bytes) : undefined;
      if (tooMany !== undefined) throw invalidArgument([tooMany]);
      const request = tryDecode(decodeRequest, bytes);
      if (isCertainlyGood(request)) return request;
      const violations = check(checks, type, bytes);
      if (violations.length > 0) throw invalidArgument(violations);
      return request ?? decodeRequest(bytes);
    };
  };
}

/** Bytes that are no message are none of the quick check's business: the full one tells what is wrong with them. */
function tryDecode(decode: (bytes: Buffer) => unknown, bytes: Buffer): unknown {
  try {
    return decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * Checks requests in full. The raw bytes are checked rather than the typed message, because that has lost what it was
 * not made of: invalid UTF-8 reads as U+FFFD by then.
 */
export function createRequestValidator(descriptors: () => Uint8Array): RequestValidator {
  const load = createLoader(descriptors);
  return (typeName) => {
    const { registry, ...checks } = load();
    const type = typeOf(registry, typeName);
    return (bytes) => check(checks, type, bytes);
  };
}

/** Parses the descriptors at the first use. */
function createLoader(descriptors: () => Uint8Array): () => Loaded {
  let loaded: Loaded | undefined;
  return () => {
    if (loaded === undefined) {
      const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors()));
      loaded = {
        registry,
        validator: createValidator({ registry, regexMatch: createPatternMatcher() }),
        itemLimits: createItemLimits(registry),
        nulTexts: createNulTexts(registry),
      };
    }
    return loaded;
  };
}

function typeOf(registry: Registry, name: string): DescMessage {
  const type = registry.getMessage(name);
  if (type === undefined) throw new TypeError(`the descriptors hold no message ${name}`);
  return type;
}

/**
 * Matches the patterns of contracts with the engine of the platform. The validator's own, an RE2 in JavaScript, guards
 * against patterns that take exponential time; ours are written by us and reviewed, and this takes a tenth of the time.
 */
function createPatternMatcher(): (pattern: string, text: string) => boolean {
  const compiled = new Map<string, RegExp>();
  return (pattern, text) => {
    let expression = compiled.get(pattern);
    if (expression === undefined) {
      expression = new RegExp(pattern, "u");
      compiled.set(pattern, expression);
    }
    return expression.test(text);
  };
}

const readOptions = { readUnknownFields: false, recursionLimit: MAX_DEPTH };

interface Checks {
  readonly validator: Validator;
  readonly itemLimits: ItemLimits;
  readonly nulTexts: NulTexts;
}

interface Loaded extends Checks {
  readonly registry: Registry;
}

function check(
  { validator, itemLimits, nulTexts }: Checks,
  type: DescMessage,
  bytes: Uint8Array,
): readonly Violation[] {
  const tooMany = itemLimits(type, bytes);
  if (tooMany !== undefined) return [tooMany];
  let message: ReturnType<typeof fromBinary>;
  try {
    message = fromBinary(type, bytes, readOptions);
  } catch (error) {
    return [malformed(type, bytes, error)];
  }
  const nuls = nulTexts(type, bytes, message);
  const result = validator.validate(type, message);
  if (result.kind === "valid") return nuls;
  if (result.kind === "error") throw result.error; // a rule that cannot be evaluated is a defect of the contract
  const broken = result.violations.map(({ field, message: description, ruleId }) => ({
    field: pathToString(field),
    description,
    reason: ruleId,
  }));
  return [...broken, ...nuls];
}

function malformed(type: DescMessage, bytes: Uint8Array, error: unknown): Violation {
  const field = findMalformed(type, bytes);
  if (isBadText(error)) return { field, description: "must be valid UTF-8", reason: "string.utf8" };
  const why = error instanceof Error ? error.message : String(error);
  return { field, description: `is not in the binary format of ${type.typeName}: ${why}`, reason: "malformed" };
}

/** How the platform's decoder refuses text that is not UTF-8. */
function isBadText(error: unknown): boolean {
  return error instanceof TypeError && "code" in error && error.code === "ERR_ENCODING_INVALID_ENCODED_DATA";
}

/**
 * The path of the first field that cannot be decoded, empty when it is the message itself. The decoder does not say,
 * so each field is decoded once more by itself; only a request that is refused pays for it.
 */
function findMalformed(type: DescMessage, bytes: Uint8Array): string {
  const fields = new Map(type.fields.map((field) => [field.number, field]));
  const seen = new Map<number, number>();
  const reader = new BinaryReader(bytes);
  try {
    while (reader.pos < reader.len) {
      const start = reader.pos;
      const [number, wireType] = reader.tag();
      const field = fields.get(number);
      const value = wireType === WireType.LengthDelimited ? reader.bytes() : reader.skip(wireType, number);
      const index = seen.get(number) ?? 0;
      seen.set(number, index + 1);
      if (field === undefined || decodes(type, bytes.subarray(start, reader.pos))) continue;
      const path = field.fieldKind === "list" ? `${field.name}[${index}]` : field.name;
      const inner = field.message === undefined || field.fieldKind === "map" ? "" : findMalformed(field.message, value);
      return inner === "" ? path : `${path}.${inner}`;
    }
  } catch {
    // Cut short, or no field at all: the message itself is what is wrong.
  }
  return "";
}

function decodes(type: DescMessage, bytes: Uint8Array): boolean {
  try {
    fromBinary(type, bytes, readOptions);
    return true;
  } catch {
    return false;
  }
}
