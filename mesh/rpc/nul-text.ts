import { type DescField, type DescMessage, type Message, type Registry, ScalarType } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import type { Violation } from "#mesh/contract/errors.ts";
import { ignoresRules } from "#mesh/rpc/item-limits.ts";

/** The text fields of a message that contain U+0000, each as a violation. */
export type NulTexts = (type: DescMessage, bytes: Uint8Array, message: Message) => readonly Violation[];

/**
 * U+0000 is refused in every text, whatever the rules of a field are: PostgreSQL cannot hold it and nothing displays it.
 * Fields whose rules are ignored always are left out, as their service checks them by itself, one by one. Looks only
 * where the bytes give cause to.
 */
export function createNulTexts(registry: Registry): NulTexts {
  const rules = registry.getExtension("buf.validate.field");
  const skipped = (field: DescField): boolean => ignoresRules(field, rules);
  return (type, bytes, message) => {
    if (!bytes.includes(0)) return [];
    return [...pathsIn(reflect(type, message), "", skipped)].map((field) => ({
      field,
      description: "must not contain the character U+0000",
      reason: "string.nul",
    }));
  };
}

type Skipped = (field: DescField) => boolean;

function* pathsIn(message: ReflectMessage, prefix: string, skipped: Skipped): Generator<string> {
  for (const field of message.fields) {
    if (message.isSet(field) && !skipped(field)) yield* pathsOf(message, field, prefix + field.name, skipped);
  }
}

function* pathsOf(message: ReflectMessage, field: DescField, path: string, skipped: Skipped): Generator<string> {
  switch (field.fieldKind) {
    case "scalar":
      if (field.scalar === ScalarType.STRING && hasNul(message.get(field))) yield path;
      return;
    case "message":
      return yield* pathsIn(message.get(field), `${path}.`, skipped);
    case "list": {
      let at = 0;
      for (const item of message.get(field)) {
        yield* pathsOfItem(item, `${path}[${at}]`, skipped);
        at += 1;
      }
      return;
    }
    case "map":
      for (const [key, value] of message.get(field)) {
        if (hasNul(key)) yield path;
        yield* pathsOfItem(value, `${path}[${JSON.stringify(key)}]`, skipped);
      }
      return;
    case "enum":
  }
}

/** An item of a list or a map. A list of bytes holds Uint8Arrays, so only text is a string here. */
function* pathsOfItem(item: unknown, path: string, skipped: Skipped): Generator<string> {
  if (hasNul(item)) yield path;
  else if (isReflectMessage(item)) yield* pathsIn(item, `${path}.`, skipped);
}

function hasNul(value: unknown): boolean {
  return typeof value === "string" && value.includes("\0");
}

function isReflectMessage(value: unknown): value is ReflectMessage {
  return typeof value === "object" && value !== null && "fields" in value && "isSet" in value;
}
