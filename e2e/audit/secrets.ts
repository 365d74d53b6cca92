import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Session } from "#mesh/postgres/database.ts";
import type { Finding } from "./books.ts";
import { type BooksSource, inDatabase } from "./read-books.ts";

/**
 * Invariant 8: looks for payment tokens, access tokens (they have the form of a JWT) and passwords in every row of every
 * table, bytes included, and in every line of every log. `secrets` are those that nobody could tell by their form.
 */
export async function checkSecrets(
  source: BooksSource,
  place: { readonly services: readonly string[]; readonly logsDir: string; readonly secrets: readonly string[] },
): Promise<Finding> {
  const isSecret = secretFinder(place.secrets);
  const places: Searched[] = await searchLogs(place.logsDir, isSecret);
  for (const service of place.services) {
    places.push(...(await inDatabase(source, service, (session) => searchDatabase(session, service, isSecret))));
  }
  return {
    invariant: 8,
    what: "no payment token, access token or password in any table or log (rows, lines)",
    checked: places.reduce((sum, { checked }) => sum + checked, 0),
    violations: places.flatMap(({ name, found }) => (found === 0 ? [] : [`${name}: ${found} with a secret`])),
  };
}

interface Searched {
  readonly name: string;
  readonly checked: number;
  readonly found: number;
}

/** Tells whether a text holds a secret. */
export function secretFinder(secrets: readonly string[]): (text: string) => boolean {
  // Columns of bytes are shown in hex: what every JWT and every payment token begins with, and the secrets.
  const hex = [...secrets, "eyJhbGciOi", "tok_"].map((secret) => Buffer.from(secret).toString("hex"));
  const needles = [...secrets, ...hex];
  return (text) => /tok_[a-z]|eyJ[\w-]{8,}\./.test(text) || needles.some((needle) => text.includes(needle));
}

/** In pages, since most hold nothing: only where one does, its rows are looked at one by one. */
function countSecrets(rows: readonly string[], isSecret: (text: string) => boolean): number {
  return isSecret(rows.join("\n")) ? rows.filter(isSecret).length : 0;
}

const pageRows = 5_000;

async function searchDatabase(
  session: Session,
  service: string,
  isSecret: (text: string) => boolean,
): Promise<readonly Searched[]> {
  const tables = await session.query<{ readonly name: string }>(
    "select quote_ident(table_schema) || '.' || quote_ident(table_name) as name from information_schema.tables " +
      "where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')",
  );
  const searched: Searched[] = [];
  for (const { name } of tables) {
    let checked = 0;
    let found = 0;
    await session.script(`declare searched cursor for select t::text as row from ${name} t`);
    for (;;) {
      const page = await session.query<{ readonly row: string }>(`fetch ${pageRows} from searched`);
      if (page.length === 0) break;
      checked += page.length;
      found += countSecrets(
        page.map(({ row }) => row),
        isSecret,
      );
    }
    await session.script("close searched");
    searched.push({ name: `${service} ${name}`, checked, found });
  }
  return searched;
}

/** Log files have a bound of some megabytes each. */
async function searchLogs(logsDir: string, isSecret: (text: string) => boolean): Promise<Searched[]> {
  const names = (await readdir(logsDir)).filter((name) => name.includes(".log"));
  return Promise.all(
    names.map(async (name) => {
      const lines = (await readFile(join(logsDir, name), "utf8")).split("\n");
      return { name, checked: lines.length, found: countSecrets(lines, isSecret) };
    }),
  );
}
