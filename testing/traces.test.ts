import { afterAll, beforeAll, expect, test } from "vitest";
import { type TestDatabase, testDatabase } from "./postgres.ts";
import { findTraces } from "./traces.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase(new URL("../mesh/postgres/testdata/", import.meta.url));
});
afterAll(() => database?.close());

let tables = 0;
const MAIL = "ada@example.org";

test.each([
  ["in any case", "text", MAIL.toUpperCase()],
  ["inside of a document", "jsonb", JSON.stringify({ to: [{ name: `Ada <${MAIL}>` }] })],
  ["in a list", "text[]", `{x,${MAIL}}`],
  ["among bytes", "bytea", Buffer.from(`\n\u000f${MAIL}`)],
  ["in base 64", "text", Buffer.from(`1${MAIL}`).toString("base64url")],
  ["in base 64, further on", "text", Buffer.from(`12${MAIL}`).toString("base64")],
])("a text is found %s", async (_, type, value) => {
  const { db } = database;
  tables += 1;
  const table = `places_${tables}`;
  await db.query(`create table ${table} (id int, place ${type})`);
  expect(await findTraces(db, [MAIL])).toEqual([]);
  await db.query(`insert into ${table} values (1, $1::${type})`, [value]);
  expect(await findTraces(db, ["nobody@example.org", MAIL])).toEqual([`${table}: ${MAIL}`]);
  await db.query(`drop table ${table}`);
});
