import { escapeIdentifier } from "pg";
import type { Queryable } from "#mesh/postgres/index.ts";

/**
 * Where one of these texts stands in a database: every column of every row of every table is looked at, and the texts are
 * looked for in any case, inside of longer ones, as bytes, and in base 64. Answers like `orders: buyer@example.com`.
 * Bytes are shown in hex, in which a text like `ada` stands by chance: take longer ones.
 */
export async function findTraces(db: Queryable, texts: readonly string[]): Promise<readonly string[]> {
  const tables = await db.query<{ readonly name: string }>(
    `select c.relname as name from pg_class c
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'm') order by 1`,
  );
  const traces: string[] = [];
  for (const { name } of tables) {
    const rows = await db.query<{ readonly row: string }>(
      `select to_jsonb(t)::text as row from ${escapeIdentifier(name)} as t`,
    );
    const whole = rows.map(({ row }) => row).join("\n");
    traces.push(...textsIn(whole, texts).map((text) => `${name}: ${text}`));
  }
  return traces;
}

/** Those of the texts that stand in a whole, in one of the forms that `findTraces` looks for. */
export function textsIn(whole: string, texts: readonly string[]): readonly string[] {
  const lower = whole.toLowerCase();
  return texts.filter((text) => {
    const encoded = [...base64Of(text)].some((form) => whole.includes(form));
    return encoded || lower.includes(text.toLowerCase()) || lower.includes(Buffer.from(text).toString("hex"));
  });
}

/** A text in base 64 at each of the three places that a byte can have there, without what its neighbours change. */
function* base64Of(text: string): Generator<string> {
  for (const before of [0, 1, 2]) {
    const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(text)]);
    const whole = bytes.subarray(0, bytes.length - (bytes.length % 3)).toString("base64url");
    const form = whole.slice(Math.ceil((before * 8) / 6));
    // Shorter ones are in anything.
    if (form.length >= 6) yield form;
  }
}
