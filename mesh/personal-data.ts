import type { PersonalRecord } from "#gen/shop/type/v1/personal_data.ts";

/** How many records of a person are read at a time. */
const EXPORT_PAGE_SIZE = 100;

/**
 * A record that a service gives out on a person. `value` is plain: whole numbers beyond a number's exact range stand in
 * it as bigint and become texts, as JSON of protobuf has them; dates become ISO 8601.
 */
export function personalRecord(kind: string, id: string, value: object): PersonalRecord {
  return { kind, id, json: JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? `${part}` : part)) };
}

/** All rows of a list that goes by ids, read page by page: `read` gives at most `limit` of those after an id. */
export async function* everyRow<Row extends { readonly id: string }>(
  read: (afterId: string, limit: number) => Promise<readonly Row[]>,
): AsyncGenerator<Row> {
  let afterId = "";
  for (;;) {
    const rows = await read(afterId, EXPORT_PAGE_SIZE);
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < EXPORT_PAGE_SIZE) return;
    afterId = last.id;
  }
}
