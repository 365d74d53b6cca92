import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** One file of a descriptor set: its bytes exactly as the compiler wrote them, so custom options and comments survive. */
export interface DescriptorFile {
  readonly name: string;
  readonly packageName: string;
  /** A serialized google.protobuf.FileDescriptorProto. */
  readonly bytes: Buffer;
  readonly imports: readonly string[];
  /** Full names of the services it declares. */
  readonly services: readonly string[];
}

/** What a set of files declares, by full name (no leading dot). */
export interface DescriptorIndex {
  readonly files: ReadonlyMap<string, DescriptorFile>;
  /** Services, methods, messages, fields, oneofs, enums, enum values and extensions to the file that declares them. */
  readonly symbols: ReadonlyMap<string, DescriptorFile>;
  /** An extended message to its extension numbers, each to the file that declares it. */
  readonly extensions: ReadonlyMap<string, ReadonlyMap<number, DescriptorFile>>;
  /** Full names of all messages. */
  readonly messages: ReadonlySet<string>;
}

// Field numbers of google/protobuf/descriptor.proto. They are read by hand, not through generated types, because
// only names are wanted: decoding all comments and options of a quarter of a megabyte takes twice as long and stays in memory.
const SET = { file: 1 };
const FILE = { name: 1, package: 2, dependency: 3, message: 4, enum: 5, service: 6, extension: 7 };
const MESSAGE = { name: 1, field: 2, nested: 3, enum: 4, extension: 6, oneof: 8 };
const FIELD = { name: 1, extendee: 2, number: 3 };
const ENUM = { name: 1, value: 2 };
const SERVICE = { name: 1, method: 2 };
const NAMED = { name: 1 };

/** The fields of one message that matter here: length-delimited ones as bytes, varints as numbers. */
class Fields {
  readonly #bytes = new Map<number, Uint8Array[]>();
  readonly #numbers = new Map<number, number>();

  constructor(message: Uint8Array) {
    const reader = new BinaryReader(message);
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      if (type === WireType.LengthDelimited) {
        const values = this.#bytes.get(field);
        const value = reader.bytes();
        if (values === undefined) this.#bytes.set(field, [value]);
        else values.push(value);
      } else if (type === WireType.Varint) {
        this.#numbers.set(field, reader.int32());
      } else {
        reader.skip(type, field);
      }
    }
  }

  all(field: number): readonly Uint8Array[] {
    return this.#bytes.get(field) ?? [];
  }

  texts(field: number): readonly string[] {
    return this.all(field).map((bytes) => Buffer.from(bytes).toString("utf8"));
  }

  text(field: number): string {
    return this.texts(field).at(-1) ?? "";
  }

  number(field: number): number {
    return this.#numbers.get(field) ?? 0;
  }
}

/** Where the visitors below put what they find. */
interface Found {
  readonly symbols: string[];
  readonly messages: string[];
  readonly extensions: { readonly extendee: string; readonly number: number }[];
}

/**
 * Indexes a serialized google.protobuf.FileDescriptorSet. The files' bytes are views of `set`, not copies.
 * Throws when `set` isn't a valid message.
 */
export function indexDescriptors(set: Uint8Array): DescriptorIndex {
  const files = new Map<string, DescriptorFile>();
  const symbols = new Map<string, DescriptorFile>();
  const extensions = new Map<string, Map<number, DescriptorFile>>();
  const messages = new Set<string>();
  for (const bytes of new Fields(set).all(SET.file)) {
    const found: Found = { symbols: [], messages: [], extensions: [] };
    const file = visitFile(bytes, found);
    if (files.has(file.name)) continue;
    files.set(file.name, file);
    for (const symbol of found.symbols) symbols.set(symbol, file);
    for (const message of found.messages) messages.add(message);
    for (const { extendee, number } of found.extensions) {
      const numbers = extensions.get(extendee) ?? new Map<number, DescriptorFile>();
      extensions.set(extendee, numbers.set(number, file));
    }
  }
  return { files, symbols, extensions, messages };
}

function visitFile(bytes: Uint8Array, found: Found): DescriptorFile {
  const fields = new Fields(bytes);
  const packageName = fields.text(FILE.package);
  const scope = packageName === "" ? "" : `${packageName}.`;
  const services: string[] = [];
  for (const message of fields.all(FILE.message)) visitMessage(message, scope, found);
  for (const one of fields.all(FILE.enum)) visitEnum(one, scope, found);
  for (const extension of fields.all(FILE.extension)) visitExtension(extension, scope, found);
  for (const bytesOfService of fields.all(FILE.service)) {
    const service = new Fields(bytesOfService);
    const name = scope + service.text(SERVICE.name);
    services.push(name);
    found.symbols.push(name);
    visitNamed(service.all(SERVICE.method), `${name}.`, found);
  }
  return {
    name: fields.text(FILE.name),
    packageName,
    bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    imports: fields.texts(FILE.dependency),
    services,
  };
}

function visitMessage(bytes: Uint8Array, scope: string, found: Found): void {
  const fields = new Fields(bytes);
  const name = scope + fields.text(MESSAGE.name);
  const inner = `${name}.`;
  found.symbols.push(name);
  found.messages.push(name);
  visitNamed(fields.all(MESSAGE.field), inner, found);
  visitNamed(fields.all(MESSAGE.oneof), inner, found);
  for (const one of fields.all(MESSAGE.enum)) visitEnum(one, inner, found);
  for (const extension of fields.all(MESSAGE.extension)) visitExtension(extension, inner, found);
  for (const nested of fields.all(MESSAGE.nested)) visitMessage(nested, inner, found);
}

function visitEnum(bytes: Uint8Array, scope: string, found: Found): void {
  const fields = new Fields(bytes);
  found.symbols.push(scope + fields.text(ENUM.name));
  // Protobuf scopes an enum's values beside the enum, not inside it.
  visitNamed(fields.all(ENUM.value), scope, found);
}

function visitExtension(bytes: Uint8Array, scope: string, found: Found): void {
  const fields = new Fields(bytes);
  found.symbols.push(scope + fields.text(FIELD.name));
  // Compilers write the extended type with its leading dot; clients ask without.
  found.extensions.push({
    extendee: fields.text(FIELD.extendee).replace(/^\./, ""),
    number: fields.number(FIELD.number),
  });
}

function visitNamed(messages: readonly Uint8Array[], scope: string, found: Found): void {
  for (const message of messages) found.symbols.push(scope + new Fields(message).text(NAMED.name));
}
