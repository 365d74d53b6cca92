/** A JSON object, read member by member. Each reader throws when the member is missing or of another kind. */
export interface Fields {
  text(name: string): string;
  whole(name: string): number;
  number(name: string): number;
  time(name: string): Date;
  object(name: string): Fields;
  list<T>(name: string, read: (fields: Fields) => T): readonly T[];
  texts(name: string): readonly string[];
  /** Undefined when there is no such member. */
  optional<T>(name: string, read: (fields: Fields, name: string) => T): T | undefined;
}

/** Throws when the value is no object. */
export function readFields(value: unknown): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new TypeError("it is no JSON object");
  const members = new Map<string, unknown>(Object.entries(value));
  const wrong = (name: string, kind: string) => new TypeError(`"${name}" is no ${kind}`);
  const list = (name: string): readonly unknown[] => {
    const found = members.get(name);
    if (!Array.isArray(found)) throw wrong(name, "list");
    return found;
  };
  const fields: Fields = {
    text(name) {
      const found = members.get(name);
      if (typeof found !== "string") throw wrong(name, "text");
      return found;
    },
    number(name) {
      const found = members.get(name);
      if (typeof found !== "number") throw wrong(name, "number");
      return found;
    },
    whole(name) {
      const found = fields.number(name);
      if (!Number.isSafeInteger(found)) throw wrong(name, "whole number");
      return found;
    },
    time(name) {
      const found = new Date(fields.text(name));
      if (Number.isNaN(found.getTime())) throw wrong(name, "time");
      return found;
    },
    object(name) {
      const found = members.get(name);
      if (found === undefined) throw wrong(name, "object");
      return readFields(found);
    },
    list: (name, read) => list(name).map((item) => read(readFields(item))),
    texts: (name) =>
      list(name).map((item) => {
        if (typeof item !== "string") throw wrong(name, "list of texts");
        return item;
      }),
    optional: (name, read) => (members.get(name) === undefined ? undefined : read(fields, name)),
  };
  return fields;
}
