import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { temporaryFolder } from "#testing/folders.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { migrate } from "./migrate.ts";

let empty: TestDatabase;
let folder: string;
beforeEach(async () => {
  folder = await temporaryFolder();
  empty = await testDatabase(pathToFileURL(folder));
});
afterEach(async () => {
  await empty.close();
  await rm(folder, { recursive: true });
});

const INIT = "create table steps (name text not null); insert into steps values ('init');";
const ADD = "insert into steps values ('add');";

const write = (name: string, text: string) => writeFile(join(folder, name), text);
const run = () => migrate(empty.db, pathToFileURL(folder));
const steps = async () => (await empty.db.query<{ name: string }>("select name from steps")).map(({ name }) => name);

test("applies the files in their order, each once, and later only new ones", async () => {
  await write("0001_init.sql", INIT);
  await write("0002_add.sql", ADD);
  await write("README.md", "not a migration");
  expect(await run()).toEqual(["0001_init.sql", "0002_add.sql"]);
  expect(await run()).toEqual([]);
  await write("0003_more.sql", "insert into steps values ('more')");
  expect(await run()).toEqual(["0003_more.sql"]);
  expect(await steps()).toEqual(["init", "add", "more"]);
});

test("any number of instances may start at once", async () => {
  await write("0001_init.sql", INIT);
  await write("0002_add.sql", ADD);
  const url = pathToFileURL(`${folder}/`);
  const applied = await Promise.all(Array.from({ length: 8 }, () => migrate(empty.url, url)));
  expect(applied.flat()).toEqual(["0001_init.sql", "0002_add.sql"]);
  expect(await steps()).toEqual(["init", "add"]);
});

test("refuses a file that was changed after it was applied", async () => {
  await write("0001_init.sql", INIT);
  await run();
  await write("0001_init.sql", `${INIT} `);
  await write("0002_add.sql", ADD);
  await expect(run()).rejects.toThrow(/0001_init\.sql was changed/);
  expect(await steps()).toEqual(["init"]);
});

test("takes another way of ending lines for no change", async () => {
  await write("0001_init.sql", INIT.replace("; ", ";\n"));
  await run();
  await write("0001_init.sql", INIT.replace("; ", ";\r\n"));
  expect(await run()).toEqual([]);
});

test("refuses to go on when a file that was applied is missing", async () => {
  await write("0001_init.sql", INIT);
  await write("0002_add.sql", ADD);
  await run();
  await rm(join(folder, "0002_add.sql"));
  await expect(run()).rejects.toThrow(/0002_add\.sql was applied .* missing/);
});

test.each([
  ["a gap in the numbers", ["0001_init.sql", "0003_add.sql"], /0003_add\.sql: the number must be 0002/],
  ["two files of one number", ["0001_init.sql", "0001_other.sql"], /0001_other\.sql: the number must be 0002/],
  ["a name without a number", ["init.sql"], /init\.sql: the name must be like/],
])("refuses %s before it applies anything", async (_, names, message) => {
  for (const name of names) await write(name, "create table never (id text)");
  await expect(run()).rejects.toThrow(message);
  await expect(empty.db.query("select id from never")).rejects.toThrow(/does not exist/);
});

test("a file that fails leaves nothing of itself, and what came before it stays", async () => {
  await write("0001_init.sql", INIT);
  await write("0002_add.sql", "insert into steps values ('half'); select 1/0;");
  await expect(run()).rejects.toThrow(/0002_add\.sql failed: division by zero/);
  expect(await steps()).toEqual(["init"]);
  await write("0002_add.sql", ADD);
  expect(await run()).toEqual(["0002_add.sql"]);
});

test("refuses a file that ends the transaction it runs in", async () => {
  await write("0001_init.sql", `${INIT} commit;`);
  await expect(run()).rejects.toThrow(/0001_init\.sql failed: it ends the transaction/);
});

test("says which folder cannot be read", async () => {
  const missing = pathToFileURL(join(folder, "nowhere/"));
  await expect(migrate(empty.db, missing)).rejects.toThrow(/Cannot read the migrations in .*nowhere/);
});

test("says that the database cannot be reached, without its password", async () => {
  const url = new URL(empty.url);
  url.port = "1";
  const error = await migrate(url.href, pathToFileURL(folder)).catch((failure: unknown) => failure);
  expect(String(error)).toMatch(/Cannot reach the database/);
  expect(String(error)).not.toContain(url.password);
});
