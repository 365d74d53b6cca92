import { type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import type { Violation } from "#mesh/contract/errors.ts";

/**
 * The text fields of a message that contain U+0000, each as a violation. PostgreSQL cannot hold it and nothing displays
 * it, so it is refused everywhere, whatever the rules of a field are. Looks only where the bytes give cause to.
 */
export function nulTexts(type: DescMessage, bytes: Uint8Array, message: Message): readonly Violation[] {
  if (!bytes.includes(0)) return [];
  return [...pathsIn(reflect(type, message), "")].map((field) => ({
    field,
    description: "must not contain the character U+0000",
    reason: "string.nul",
  }));
}

function* pathsIn(message: ReflectMessage, prefix: string): Generator<string> {
  for (const field of message.fields) {
    if (message.isSet(field)) yield* pathsOf(message, field, prefix + field.name);
  }
}

function* pathsOf(message: ReflectMessage, field: DescField, path: string): Generator<string> {
  switch (field.fieldKind) {
    case "scalar":
      if (field.scalar === ScalarType.STRING && hasNul(message.get(field))) yield path;
      return;
    case "message":
      return yield* pathsIn(message.get(field), `${path}.`);
    case "list": {
      let at = 0;
      for (const item of message.get(field)) {
        yield* pathsOfItem(item, `${path}[${at}]`);
        at += 1;
      }
      return;
    }
    case "map":
      for (const [key, value] of message.get(field)) {
        if (hasNul(key)) yield path;
        yield* pathsOfItem(value, `${path}[${JSON.stringify(key)}]`);
      }
      return;
    case "enum":
  }
}

/** An item of a list or a map. A list of bytes holds Uint8Arrays, so only text is a string here. */
function* pathsOfItem(item: unknown, path: string): Generator<string> {
  if (hasNul(item)) yield path;
  else if (isReflectMessage(item)) yield* pathsIn(item, `${path}.`);
}

function hasNul(value: unknown): boolean {
  return typeof value === "string" && value.includes("\0");
}

function isReflectMessage(value: unknown): value is ReflectMessage {
  return typeof value === "object" && value !== null && "fields" in value && "isSet" in value;
}
