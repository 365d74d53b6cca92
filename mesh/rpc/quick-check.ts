import {
  create,
  type DescEnum,
  type DescField,
  type DescMessage,
  getOption,
  hasOption,
  ScalarType,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import {
  type FieldRules,
  FieldRulesSchema,
  field as fieldOption,
  Ignore,
  message as messageOption,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";

/** Whether a typed message certainly keeps every rule of its contract. False means only that it may not. */
export type QuickCheck = (message: unknown) => boolean;

/** Checks one value; undefined in its place when a rule is of a kind that is left to the validator. */
type Check = (value: unknown) => boolean;

/** Nested deeper than this is left to the validator, and so is what contains itself. */
const MAX_DEPTH = 8;

/**
 * Compiles the rules of a message into a check of the message that ts-proto decodes, or returns undefined when one of
 * them is beyond it. Nearly all requests are good, and this tells so in a tenth of the time that it takes to decode
 * them a second time and to validate them; what it does not let pass goes to the validator, which has the last word.
 *
 * It must never let pass what the validator would not, so it knows the few rules that our contracts are made of, and
 * takes any doubt for a no: a value of another type, a field by another name, text that may not have been UTF-8.
 */
export function compileQuickCheck(type: DescMessage, depth = 0): QuickCheck | undefined {
  if (depth > MAX_DEPTH || type.oneofs.length > 0 || hasOption(type, messageOption)) return undefined;
  const fields: { readonly name: string; readonly check: Check }[] = [];
  for (const field of type.fields) {
    const check = compileField(field, depth);
    if (check === undefined) return undefined;
    fields.push({ name: field.localName, check });
  }
  return (message) => {
    if (!isRecord(message)) return false;
    for (const { name, check } of fields) {
      // Every field is there, if only as undefined, unless the two generators name it differently.
      if (!(name in message) || !check(message[name])) return false;
    }
    return true;
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function compileField(field: DescField, depth: number): Check | undefined {
  const rules = getOption(field, fieldOption);
  const check = hasOnlyPlainRules(rules) ? compileValue(field, rules, depth) : undefined;
  if (check === undefined) return undefined;
  const tracksPresence = field.presence !== FeatureSet_FieldPresence.IMPLICIT;
  if (tracksPresence) return (value) => (value === undefined ? !rules.required : check(value));
  return rules.required ? (value) => !isZero(value) && check(value) : check;
}

function hasOnlyPlainRules({ cel, celExpression, ignore, $unknown }: FieldRules): boolean {
  return cel.length === 0 && celExpression.length === 0 && ignore === Ignore.UNSPECIFIED && $unknown === undefined;
}

function isZero(value: unknown): boolean {
  return value === "" || value === 0 || value === 0n || value === false || (Array.isArray(value) && value.length === 0);
}

function compileValue(field: DescField, rules: FieldRules, depth: number): Check | undefined {
  switch (field.fieldKind) {
    case "scalar":
      return compileScalar(field.scalar, rules);
    case "enum":
      return compileEnum(field, rules);
    case "message":
      return compileMessage(field.message, rules, depth);
    case "list":
      return compileList(field, rules, depth);
    case "map":
      return undefined;
  }
}

function compileMessage(type: DescMessage, rules: FieldRules, depth: number): Check | undefined {
  if (rules.type.case !== undefined) return undefined;
  if (type.typeName === "google.protobuf.Timestamp") return (value) => value instanceof Date;
  return type.typeName.startsWith("google.protobuf.") ? undefined : compileQuickCheck(type, depth + 1);
}

type ListField = DescField & { readonly fieldKind: "list" };

function compileList(field: ListField, rules: FieldRules, depth: number): Check | undefined {
  const given = givenRules(rules, "repeated");
  const itemRules = (rules.type.case === "repeated" ? rules.type.value.items : undefined) ?? noRules;
  const checkItem = hasOnlyPlainRules(itemRules) ? compileItem(field, itemRules, depth) : undefined;
  if (given === undefined || checkItem === undefined || itemRules.required) return undefined;
  const { min_items: min = 0n, max_items: max = Number.POSITIVE_INFINITY, unique = false, items: _, ...others } = given;
  if (Object.keys(others).length > 0 || (unique === true && !isComparable(field))) return undefined;
  return (value) => {
    if (!Array.isArray(value) || value.length < Number(min) || value.length > Number(max)) return false;
    for (const item of value) if (!checkItem(item)) return false;
    return unique !== true || new Set(value).size === value.length;
  };
}

const noRules = create(FieldRulesSchema);

/** Whether equal items are the same to a `Set`. */
function isComparable(field: ListField): boolean {
  return field.listKind === "enum" || (field.listKind === "scalar" && field.scalar !== ScalarType.BYTES);
}

function compileItem(field: ListField, rules: FieldRules, depth: number): Check | undefined {
  if (field.listKind === "scalar") return compileScalar(field.scalar, rules);
  return field.listKind === "enum" ? compileEnum(field, rules) : compileMessage(field.message, rules, depth);
}

function compileScalar(scalar: ScalarType, rules: FieldRules): Check | undefined {
  const given = givenRules(rules, String(ScalarType[scalar]).toLowerCase());
  if (given === undefined) return undefined;
  switch (scalar) {
    case ScalarType.STRING:
      return compileString(given);
    case ScalarType.BOOL:
      return isEmpty(given) ? (value) => typeof value === "boolean" : undefined;
    case ScalarType.BYTES:
      return isEmpty(given) ? (value) => value instanceof Uint8Array : undefined;
    case ScalarType.FLOAT:
    case ScalarType.DOUBLE:
      return isEmpty(given) ? (value) => typeof value === "number" : undefined;
    case ScalarType.INT64:
    case ScalarType.UINT64:
    case ScalarType.SINT64:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return compileNumber("bigint", given);
    default:
      return compileNumber("number", given);
  }
}

/**
 * What invalid UTF-8 decodes to, and what no text may hold (nul-text.ts). Where the first stands in the text itself, the
 * validator finds nothing wrong with it.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is looked for
const DOUBTFUL = /[\u0000\ufffd]/;
const SURROGATE = /[\ud800-\udfff]/;

/** The rules count code points. The length of a string is never less than that, and the same without surrogates. */
function compileString(given: GivenRules): Check | undefined {
  const { min_len: min = 0n, max_len: max = Number.POSITIVE_INFINITY, pattern, ...others } = given;
  if (!isEmpty(others)) return undefined;
  const expression = typeof pattern === "string" ? new RegExp(pattern, "u") : undefined;
  return (value) => {
    if (typeof value !== "string" || value.length > Number(max) || DOUBTFUL.test(value)) return false;
    if (value.length < Number(min) || (value.length < 2 * Number(min) && SURROGATE.test(value))) return false;
    return expression === undefined || expression.test(value);
  };
}

function compileNumber(type: "number" | "bigint", given: GivenRules): Check | undefined {
  const { gt, gte, lt, lte, in: among, not_in: notAmong, ...others } = given;
  // Bounds the wrong way round mean all that is outside them: rare enough to be left to the validator.
  const [lower, upper] = [gt ?? gte, lt ?? lte];
  if (!isEmpty(others) || (isNumber(lower) && isNumber(upper) && upper <= lower)) return undefined;
  const checks: Check[] = [];
  if (isNumber(gt)) checks.push((value) => isNumber(value) && value > gt);
  if (isNumber(gte)) checks.push((value) => isNumber(value) && value >= gte);
  if (isNumber(lt)) checks.push((value) => isNumber(value) && value < lt);
  if (isNumber(lte)) checks.push((value) => isNumber(value) && value <= lte);
  if (Array.isArray(among)) checks.push((value) => among.includes(value));
  if (Array.isArray(notAmong)) checks.push((value) => !notAmong.includes(value));
  return (value) => typeof value === type && checks.every((check) => check(value));
}

function isNumber(value: unknown): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

function compileEnum(field: { readonly enum: DescEnum }, rules: FieldRules): Check | undefined {
  const given = givenRules(rules, "enum");
  if (given === undefined) return undefined;
  const { defined_only: definedOnly, ...others } = given;
  const check = compileNumber("number", others);
  if (definedOnly !== true || check === undefined) return check;
  const defined = new Set<unknown>(field.enum.values.map(({ number }) => number));
  return (value) => defined.has(value) && check(value);
}

/** Rules that are set, by their names; lists as arrays. */
type GivenRules = Readonly<Record<string, unknown>>;

/** The rules that are set, when they are of the expected kind; undefined when they are of another, or unknown. */
function givenRules({ type }: FieldRules, kind: string): GivenRules | undefined {
  if (type.case === undefined) return {};
  const schema = FieldRulesSchema.fields.find(({ localName }) => localName === type.case)?.message;
  if (type.case !== kind || schema === undefined || type.value.$unknown !== undefined) return undefined;
  const rules = reflect(schema, type.value);
  const given: Record<string, unknown> = {};
  for (const field of schema.fields) {
    if (!rules.isSet(field)) continue;
    given[field.name] = field.fieldKind === "list" ? [...rules.get(field)] : rules.get(field);
  }
  return given;
}

function isEmpty(given: GivenRules): boolean {
  return Object.keys(given).length === 0;
}
