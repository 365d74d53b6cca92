import { readFile } from "node:fs/promises";
import {
  createFileRegistry,
  type DescField,
  type DescMessage,
  type FileRegistry,
  fromBinary,
} from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { file_buf_validate_validate } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { status } from "@grpc/grpc-js";
import { beforeAll, describe, expect, test } from "vitest";

// The imports that no build can fetch are declared by us (proto-external/). On the wire only numbers and types count:
// here they are held against their owners', as far as an npm package carries them, and against the published ones
// otherwise.
let ours: FileRegistry;

beforeAll(async () => {
  const bytes = await readFile(new URL("../gen/descriptors.binpb", import.meta.url));
  ours = createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes));
});

describe("buf/validate/validate.proto", () => {
  const theirs = new Map(
    [...nestedTypes(file_buf_validate_validate)].map((desc) => [`${desc.kind} ${desc.typeName}`, desc]),
  );

  test("declares every message with its owner's names, numbers and types", () => {
    const messages = declared("message");
    expect(messages.length).toBeGreaterThan(10);
    for (const message of messages) {
      const original = theirs.get(`message ${message.typeName}`);
      const fields =
        original?.kind === "message" ? new Map(original.fields.map((field) => [field.name, field])) : undefined;
      const expected = message.fields.map((field) => shape(fields?.get(field.name)));
      expect(message.fields.map(shape), message.typeName).toEqual(expected);
    }
  });

  test("declares every enum with its owner's names and numbers", () => {
    const enums = declared("enum");
    expect(enums.length).toBeGreaterThan(0);
    for (const desc of enums) {
      const original = theirs.get(`enum ${desc.typeName}`);
      const values = original?.kind === "enum" ? original.values : [];
      const wanted = new Map(values.map((value) => [value.name, value.number]));
      for (const value of desc.values) expect(wanted.get(value.name), value.toString()).toBe(value.number);
    }
  });

  test("declares every option with its owner's number, extended message and type", () => {
    const extensions = declared("extension");
    expect(extensions.map((desc) => desc.name).toSorted()).toEqual(["field", "message", "oneof"]);
    for (const desc of extensions) {
      const original = theirs.get(`extension ${desc.typeName}`);
      if (original?.kind !== "extension") throw new Error(`protovalidate has no ${desc.typeName}`);
      expect(original.extendee.typeName).toBe(desc.extendee.typeName);
      expect(shape(original)).toEqual(shape(desc));
    }
  });

  test("a wrong number would be seen", () => {
    const rules = theirs.get("message buf.validate.StringRules");
    if (rules?.kind !== "message") throw new Error("protovalidate has no StringRules");
    expect(shape(fieldOf(rules, "min_len"))).toEqual({ ...shape(fieldOf(ourMessage(rules.typeName), "min_len")) });
    expect(shape(fieldOf(rules, "min_len"))).not.toEqual(shape(fieldOf(rules, "max_len")));
  });
});

describe("google/rpc", () => {
  test("has the status codes of grpc-js", () => {
    const codes = ours.getEnum("google.rpc.Code")?.values.map((value) => [value.name, value.number]);
    const wanted = Object.entries(status).filter(([name]) => Number.isNaN(Number(name)));
    expect(codes).toEqual(wanted);
  });

  // google/rpc/status.proto and google/rpc/error_details.proto of googleapis.
  test.each([
    ["google.rpc.Status", { code: 1, message: 2, details: 3 }],
    ["google.rpc.ErrorInfo", { reason: 1, domain: 2, metadata: 3 }],
    ["google.rpc.RetryInfo", { retry_delay: 1 }],
    ["google.rpc.BadRequest", { field_violations: 1 }],
    ["google.rpc.BadRequest.FieldViolation", { field: 1, description: 2, reason: 3 }],
  ])("numbers the fields of %s as published", (name, numbers) => {
    expect(numbersOf(ourMessage(name))).toEqual(numbers);
  });

  test("declares nothing that is not held here", () => {
    const names = [...ours.files]
      .filter((file) => file.proto.package === "google.rpc")
      .flatMap((file) => [...nestedTypes(file)].map((desc) => desc.typeName));
    expect(names.toSorted()).toEqual([
      "google.rpc.BadRequest",
      "google.rpc.BadRequest.FieldViolation",
      "google.rpc.Code",
      "google.rpc.ErrorInfo",
      "google.rpc.RetryInfo",
      "google.rpc.Status",
    ]);
  });
});

describe("grpc", () => {
  // grpc/health/v1/health.proto of grpc-proto.
  test("numbers health checking as published", () => {
    expect(numbersOf(ourMessage("grpc.health.v1.HealthCheckRequest"))).toEqual({ service: 1 });
    expect(numbersOf(ourMessage("grpc.health.v1.HealthCheckResponse"))).toEqual({ status: 1 });
    const values = ours.getEnum("grpc.health.v1.HealthCheckResponse.ServingStatus")?.values;
    expect(Object.fromEntries(values?.map((value) => [value.name, value.number]) ?? [])).toEqual({
      UNKNOWN: 0,
      SERVING: 1,
      NOT_SERVING: 2,
      SERVICE_UNKNOWN: 3,
    });
  });

  // grpc/reflection/v1/reflection.proto and v1alpha of grpc-proto; both versions have the same shape.
  test.each(["v1", "v1alpha"])("numbers reflection %s as published", (version) => {
    expect(numbersOf(ourMessage(`grpc.reflection.${version}.ServerReflectionRequest`))).toEqual({
      host: 1,
      file_by_filename: 3,
      file_containing_symbol: 4,
      file_containing_extension: 5,
      all_extension_numbers_of_type: 6,
      list_services: 7,
    });
    expect(numbersOf(ourMessage(`grpc.reflection.${version}.ServerReflectionResponse`))).toEqual({
      valid_host: 1,
      original_request: 2,
      file_descriptor_response: 4,
      all_extension_numbers_response: 5,
      list_services_response: 6,
      error_response: 7,
    });
  });
});

function declared<K extends "message" | "enum" | "extension">(kind: K) {
  const file = ours.getFile("buf/validate/validate.proto");
  if (file === undefined) throw new Error("gen/descriptors.binpb has no buf/validate/validate.proto");
  return [...nestedTypes(file)].filter((desc): desc is Extract<typeof desc, { kind: K }> => desc.kind === kind);
}

function ourMessage(name: string): DescMessage {
  const message = ours.getMessage(name);
  if (message === undefined) throw new Error(`gen/descriptors.binpb has no ${name}`);
  return message;
}

function fieldOf(message: DescMessage, name: string): DescField {
  const field = message.fields.find((candidate) => candidate.name === name);
  if (field === undefined) throw new Error(`${message.typeName} has no ${name}`);
  return field;
}

function numbersOf(message: DescMessage): Record<string, number> {
  return Object.fromEntries(message.fields.map((field) => [field.name, field.number]));
}

/** All of a field that shows on the wire, and the oneof it is in. */
function shape(field: Pick<DescField, "proto" | "name" | "number"> | undefined) {
  return (
    field && {
      name: field.name,
      number: field.number,
      type: field.proto.type,
      typeName: field.proto.typeName,
      label: field.proto.label,
      inOneof: Object.hasOwn(field.proto, "oneofIndex"),
    }
  );
}
