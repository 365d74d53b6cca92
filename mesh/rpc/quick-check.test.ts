import {
  create,
  createFileRegistry,
  type DescField,
  type DescMessage,
  fromBinary,
  getOption,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { field as fieldOption } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { contracts } from "#gen/contracts.ts";
import { readDescriptors } from "./descriptors.ts";
import { type Method, methodsOf } from "./method.ts";
import { compileQuickCheck, type QuickCheck } from "./quick-check.ts";
import { createRequestValidator, type RequestCheck } from "./validation.ts";

const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readDescriptors()));
const fullCheckOf = createRequestValidator(readDescriptors);

interface Subject {
  readonly name: string;
  readonly type: DescMessage;
  readonly method: Method;
  readonly quick: QuickCheck | undefined;
  readonly full: RequestCheck;
}

/** Every request of the shop. */
const subjects: readonly Subject[] = contracts.flatMap((contract) =>
  [...methodsOf(contract).values()].map((method) => {
    const name = method.policy.request;
    const type = registry.getMessage(name);
    if (type === undefined) throw new Error(`no message ${name}`);
    return { name, type, method, quick: compileQuickCheck(type), full: fullCheckOf(name) };
  }),
);

/** Messages of a type, some of which keep its rules and some of which do not, as the bytes of the wire. */
function bytesOf(type: DescMessage): fc.Arbitrary<Uint8Array> {
  return messageOf(type, 0).map((init) => toBinary(type, create(type, init)));
}

function messageOf(type: DescMessage, depth: number): fc.Arbitrary<Record<string, unknown>> {
  const fields = type.fields.filter(({ oneof }) => oneof === undefined);
  const values = Object.fromEntries(fields.map((field) => [field.localName, arbitraryOf(field, depth)]));
  return fc.record(values, { requiredKeys: [] }).map((init) => init);
}

function arbitraryOf(field: DescField, depth: number): fc.Arbitrary<unknown> {
  switch (field.fieldKind) {
    case "scalar":
      return scalarOf(field.scalar, patternOf(field, false));
    case "enum":
      return fc.integer({ min: -1, max: 6 });
    case "message":
      return depth > 3 ? fc.constant(undefined) : messageOf(field.message, depth + 1);
    case "list": {
      const item = itemOf(field, depth);
      return fc.oneof(fc.array(item, { maxLength: 3 }), fc.array(item, { minLength: 0, maxLength: 120 }));
    }
    case "map":
      return fc.constant({});
  }
}

function itemOf(field: DescField & { readonly fieldKind: "list" }, depth: number): fc.Arbitrary<unknown> {
  if (field.listKind === "scalar") return scalarOf(field.scalar, patternOf(field, true));
  return field.listKind === "enum" ? fc.integer({ min: -1, max: 6 }) : messageOf(field.message, depth + 1);
}

function scalarOf(scalar: ScalarType, pattern: string | undefined): fc.Arbitrary<unknown> {
  switch (scalar) {
    case ScalarType.STRING:
      return textOf(pattern);
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.BYTES:
      return fc.uint8Array({ maxLength: 20 });
    case ScalarType.FLOAT:
    case ScalarType.DOUBLE:
      return fc.float();
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return fc.oneof(fc.bigInt({ min: -2n, max: 1_000n }), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }));
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return fc.oneof(fc.nat({ max: 1_000 }), fc.nat({ max: 2 ** 32 - 1 }));
    default:
      return fc.oneof(fc.integer({ min: -2, max: 1_000 }), fc.integer());
  }
}

function textOf(pattern: string | undefined): fc.Arbitrary<string> {
  const odd = fc.constantFrom(
    "",
    "\0",
    "\ufffd",
    "😀".repeat(40),
    "é",
    "a".repeat(64),
    "a".repeat(65),
    "a".repeat(201),
  );
  const any = fc.string({ unit: "grapheme", maxLength: 80 });
  const good =
    pattern === undefined
      ? fc.string({ unit: "grapheme-ascii", maxLength: 20 })
      : fc.stringMatching(new RegExp(pattern, "u"));
  return fc.oneof({ arbitrary: good, weight: 8 }, { arbitrary: any, weight: 1 }, { arbitrary: odd, weight: 1 });
}

function patternOf(field: DescField, items: boolean): string | undefined {
  const { type } = getOption(field, fieldOption);
  const rules = items && type.case === "repeated" ? type.value.items?.type : type;
  return rules?.case === "string" && rules.value.pattern !== "" ? rules.value.pattern : undefined;
}

/** Text that the quick check leaves to the full one without looking further. */
const DOUBTFUL = /[\ufffd\ud800-\udfff]/;

test.each(subjects.filter(({ quick }) => quick !== undefined))(
  "agrees with the validator on $name",
  ({ type, method, quick, full }) => {
    let good = 0;
    fc.assert(
      fc.property(bytesOf(type), (bytes) => {
        const message = method.decodeRequest(Buffer.from(bytes));
        const passes = quick?.(message);
        const violations = full(bytes);
        if (violations.length === 0) good += 1;
        if (passes) expect(violations).toEqual([]);
        else if (
          !DOUBTFUL.test(JSON.stringify(message, (_, value) => (typeof value === "bigint" ? String(value) : value)))
        ) {
          expect(violations).not.toEqual([]);
        }
      }),
      { numRuns: 300 },
    );
    expect(good).toBeGreaterThan(0);
  },
);

test("is there for most of what the shop is asked", () => {
  const covered = subjects.filter(({ quick }) => quick !== undefined).length;
  expect(covered / subjects.length).toBeGreaterThan(0.6);
});

test("does not let pass what is no message, or lacks a field", () => {
  const [subject] = subjects.filter(({ name }) => name === "shop.cart.v1.AddItemRequest");
  for (const value of [undefined, null, 7, "text", {}, { requestId: "request-1" }])
    expect(subject?.quick?.(value)).toBe(false);
});
