import { expect, test } from "vitest";
import { testDatabase } from "./postgres.ts";
import { dumpSchema } from "./schema-dump.ts";

const cartMigrations = new URL("../services/cart/migrations/", import.meta.url);

test.each([
  ["a table", "create table new_table (id int)", "create table new_table"],
  ["a column", "alter table carts add new_column jsonb default '{}'", "new_column jsonb default '{}'::jsonb"],
  ["what a column is made of", "alter table carts add n int generated always as (1 + 1) stored", "always as ((1 + 1))"],
  ["a column that may be empty", "alter table carts alter owner_id drop not null", "owner_id text,"],
  ["a constraint", "alter table carts add constraint new_one check (id <> '')", "constraint new_one CHECK (id <> ''"],
  ["an index", "create index new_index on carts (owner_id) where id > 'c'", "INDEX new_index ON carts"],
  ["a type", "create type new_type as enum ('a')", "new_type"],
  ["a view", "create view new_view as select id from carts", "create view new_view as  SELECT id"],
  ["a sequence", "create sequence new_sequence", "new_sequence"],
  ["a function", "create function new_function() returns int language sql return 1", "FUNCTION public.new_function()"],
  ["a schema", "create schema new_schema", "new_schema"],
  [
    "a trigger",
    `create function nothing() returns trigger language plpgsql as 'begin return new; end';
     create trigger new_trigger before update on carts for each row execute function nothing()`,
    "TRIGGER new_trigger",
  ],
])("shows %s that a migration adds", async (_, sql, shown) => {
  const database = await testDatabase(cartMigrations);
  try {
    const before = await dumpSchema(database.db);
    expect(before).not.toContain(shown);
    const session = await database.db.session();
    await session.script(sql).finally(() => session.close());
    expect(await dumpSchema(database.db)).toContain(shown);
  } finally {
    await database.close();
  }
});
