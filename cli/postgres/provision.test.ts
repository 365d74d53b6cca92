import { afterAll, expect, inject, test } from "vitest";
import { openSession } from "#mesh/postgres/database.ts";
import { asAdmin } from "#testing/postgres-server.ts";
import { provisionDatabase } from "./provision.ts";

const { adminUrl, prefix: runPrefix } = inject("testServer");
// The run drops everything under its prefix when it ends.
const prefix = `${runPrefix}_p`;

const codeOf = (open: Promise<unknown>) =>
  open.then(
    () => "connected",
    (error: unknown) => (error instanceof Error && "code" in error ? error.code : error),
  );

const INSUFFICIENT_PRIVILEGE = "42501";
const INVALID_PASSWORD = "28P01";

test("gives a service a database that it owns", async () => {
  const session = await openSession(await provisionDatabase(adminUrl, { service: "owner", prefix }));
  await session.script("create table t as select 1 as n");
  const [row] = await session.query(
    `select current_user as role, current_database() as name, pg_encoding_to_char(encoding) as encoding
    from pg_database where datname = current_database()`,
  );
  expect(row).toEqual({ role: `${prefix}_owner`, name: `${prefix}_owner`, encoding: "UTF8" });
  // Neither order nor letters are left to the machine's locale.
  expect(await session.query("select lower('ÄÉ') as lower, 'Z' < 'a' as by_code_point")).toEqual([
    { lower: "äé", by_code_point: true },
  ]);
  await session.close();
});

test("the role of one service cannot open the database of another", async () => {
  const [one, two] = await Promise.all([
    provisionDatabase(adminUrl, { service: "one", prefix }),
    provisionDatabase(adminUrl, { service: "two", prefix }),
  ]);
  const crossed = new URL(one);
  crossed.pathname = new URL(two).pathname;
  expect(await codeOf(openSession(crossed.href))).toBe(INSUFFICIENT_PRIVILEGE);
});

test("may be run again, also concurrently, and changes nothing", async () => {
  const first = await provisionDatabase(adminUrl, { service: "again", prefix });
  const session = await openSession(first);
  await session.script("create table kept as select 1 as n");
  await session.close();
  const urls = await Promise.all(
    Array.from({ length: 4 }, () => provisionDatabase(adminUrl, { service: "again", prefix })),
  );
  expect(new Set(urls)).toEqual(new Set([first]));
  const later = await openSession(first);
  expect(await later.query("select n from kept")).toEqual([{ n: 1 }]);
  await later.close();
});

test("sets the password that it is given", async () => {
  const before = await provisionDatabase(adminUrl, { service: "password", prefix });
  const after = await provisionDatabase(adminUrl, { service: "password", prefix, password: "s3cret:@/%" });
  await (await openSession(after)).close();
  expect(await codeOf(openSession(before))).toBe(INVALID_PASSWORD);
});

test("two shops with prefixes of their own share a server", async () => {
  const urls = await Promise.all(
    ["a", "b"].map((shop) => provisionDatabase(adminUrl, { service: "cart", prefix: `${prefix}_${shop}` })),
  );
  expect(urls.map((url) => new URL(url).pathname)).toEqual([`/${prefix}_a_cart`, `/${prefix}_b_cart`]);
});

test("works for an administrator that is no superuser, as managed servers have it", async () => {
  const admin = new URL(adminUrl);
  admin.username = `${prefix}_admin`;
  admin.password = "secret";
  await asAdmin({ adminUrl, prefix }, async (session) => {
    await session.script(`create role "${prefix}_admin" login createrole createdb password 'secret'`);
    await session.script(`grant connect on database postgres to "${prefix}_admin"`);
  });
  for (let run = 0; run < 2; run += 1) {
    const url = await provisionDatabase(admin.href, { service: "managed", prefix });
    const session = await openSession(url);
    await session.script("create table if not exists t (n int)");
    await session.close();
  }
});
afterAll(() =>
  asAdmin({ adminUrl, prefix }, (session) =>
    session.script(`revoke connect on database postgres from "${prefix}_admin"`),
  ),
);

test.each(["Cart", "cart;", "", 'a"b', "a".repeat(64)])("refuses %j as a name", async (service) => {
  await expect(provisionDatabase(adminUrl, { service, prefix: "x y" })).rejects.toThrow(/cannot name a database/);
});

test("says that the server cannot be reached, without its password", async () => {
  const url = new URL(adminUrl);
  url.port = "1";
  url.password = "secret";
  const error = await provisionDatabase(url.href, { service: "never", prefix }).catch((failure: unknown) => failure);
  expect(String(error)).toMatch(/^Error: Cannot reach PostgreSQL at 127\.0\.0\.1:1: /);
  expect(String(error)).not.toContain("secret");
});
