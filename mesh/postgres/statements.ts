import { createHash } from "node:crypto";
import { type CustomTypesConfig, types } from "pg";
import { MAX_STATEMENTS } from "./limits.ts";

/** One SQL text with its parameters. The text is a constant; whatever varies is a value. */
export interface Statement {
  readonly text: string;
  readonly values?: readonly unknown[];
}

/** Gives every SQL text the name under which it is prepared, always the same one. Throws beyond `MAX_STATEMENTS`. */
export function statementNames(): (text: string) => string {
  const names = new Map<string, string>();
  return (text) => {
    const known = names.get(text);
    if (known !== undefined) return known;
    if (names.size >= MAX_STATEMENTS) {
      throw new Error(
        `More than ${MAX_STATEMENTS} different SQL texts: a text must be constant and values be parameters. ` +
          `The last one begins: ${text.trim().slice(0, 80)}`,
      );
    }
    const name = createHash("sha256").update(text).digest("hex").slice(0, 16);
    names.set(text, name);
    return name;
  };
}

/**
 * How columns arrive: int8 (and arrays of it) as bigint, since it exceeds a number's exact range; date as the text
 * `YYYY-MM-DD`, since a Date would shift it by the machine's time zone; the rest as `pg` has it (timestamptz as Date,
 * jsonb parsed, bytea as Buffer, numeric as text). Given to each pool by itself: the driver's own registry is global.
 */
export const columnTypes: CustomTypesConfig = {
  getTypeParser: (oid: number, format?: "text" | "binary") => {
    const own = format === "binary" ? undefined : textParsers.get(oid);
    return own ?? types.getTypeParser(oid, format);
  },
};

// Types that the driver parses without listing them.
const INT8_ARRAY: number = 1016;
const DATE_ARRAY: number = 1182;
const parseTextArray = types.getTypeParser(INT8_ARRAY);

const textParsers: ReadonlyMap<number, (text: string) => unknown> = new Map<number, (text: string) => unknown>([
  [types.builtins.INT8, BigInt],
  [INT8_ARRAY, (text) => toBigints(parseTextArray(text))],
  [types.builtins.DATE, (text) => text],
  [DATE_ARRAY, parseTextArray],
]);

function toBigints(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toBigints);
  return typeof value === "string" ? BigInt(value) : value;
}
