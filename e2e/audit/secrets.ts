import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Finding } from "./books.ts";
import { type BooksSource, inDatabase } from "./read-books.ts";

/** What must be in no table and in no log: payment tokens, access tokens (of the form of a JWT), passwords. */
const always = ["tok_[a-z]", "eyJ[A-Za-z0-9_-]{8,}\\."];

/**
 * Invariant 8: looks for secrets in every row of every table, bytes included, and in every line of every log. `secrets`
 * are those that nobody could tell by their form, such as passwords and refresh tokens.
 */
export async function checkSecrets(
  source: BooksSource,
  place: { readonly services: readonly string[]; readonly logsDir: string; readonly secrets: readonly string[] },
): Promise<Finding> {
  const plain = place.secrets.map((secret) => secret.replaceAll(/[^A-Za-z0-9]/g, (sign) => `\\${sign}`));
  // Columns of bytes are shown in hex.
  const hex = [...place.secrets, "tok_"].map((secret) => Buffer.from(secret).toString("hex"));
  const pattern = [...always, ...plain, ...hex].join("|");
  const tables = await Promise.all(place.services.map((service) => searchDatabase(source, service, pattern)));
  const logs = await searchLogs(place.logsDir, new RegExp(pattern));
  const places = [...tables.flat(), ...logs];
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

function searchDatabase(source: BooksSource, service: string, pattern: string): Promise<readonly Searched[]> {
  return inDatabase(source, service, async (session) => {
    const tables = await session.query<{ readonly name: string }>(
      "select quote_ident(table_schema) || '.' || quote_ident(table_name) as name from information_schema.tables " +
        "where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')",
    );
    const searched: Searched[] = [];
    for (const { name } of tables) {
      const [row] = await session.query<{ readonly checked: number; readonly found: number }>(
        `select count(*)::int as checked, count(*) filter (where t::text ~ $1)::int as found from ${name} t`,
        [pattern],
      );
      searched.push({ name: `${service} ${name}`, checked: row?.checked ?? 0, found: row?.found ?? 0 });
    }
    return searched;
  });
}

async function searchLogs(logsDir: string, pattern: RegExp): Promise<readonly Searched[]> {
  const names = (await readdir(logsDir)).filter((name) => name.includes(".log"));
  return Promise.all(
    names.map(async (name) => {
      let checked = 0;
      let found = 0;
      for await (const line of createInterface({ input: createReadStream(join(logsDir, name)) })) {
        checked += 1;
        if (pattern.test(line)) found += 1;
      }
      return { name, checked, found };
    }),
  );
}
