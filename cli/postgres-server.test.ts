import { expect, inject, test } from "vitest";
import { openSession } from "#mesh/postgres/database.ts";
import { findFreePorts } from "./checks/ports.ts";
import { provisionDatabases, useGivenPostgres } from "./postgres-server.ts";

const { adminUrl, prefix: runPrefix } = inject("testServer");

test("lets one shop use a prefix, and another one after it has gone", async () => {
  const prefix = `${runPrefix}_one`;
  const first = await useGivenPostgres(adminUrl, prefix);
  await expect(useGivenPostgres(adminUrl, prefix)).rejects.toThrow(
    /^another shop uses the databases \S+_one_… at PostgreSQL \S+; stop it first, or set SHOPMESH_POSTGRES_PREFIX/,
  );
  const other = await useGivenPostgres(adminUrl, `${runPrefix}_two`);
  await other.stop();
  await first.stop();
  const second = await useGivenPostgres(adminUrl, prefix);
  await second.stop();
});

test("says in one line, without the password, why a server can't be reached", async () => {
  const [port = 0] = await findFreePorts(1);
  const wrong = new URL(adminUrl);
  wrong.password = "s3cret";
  const failures = [
    [
      `postgres://admin:s3cret@127.0.0.1:${port}/postgres`,
      /^PostgreSQL at 127\.0\.0\.1:\d+ can't be reached: connection refused$/,
    ],
    [
      `postgres://admin:s3cret@localhost:${port}/postgres`,
      /^PostgreSQL at localhost:\d+ can't be reached: connection refused$/,
    ],
    [
      "postgres://admin:s3cret@nowhere.invalid/postgres",
      /^PostgreSQL at nowhere\.invalid can't be reached: no such host$/,
    ],
    [wrong.href, /^PostgreSQL at \S+ can't be reached: password authentication failed/],
  ] as const;
  for (const [url, message] of failures) {
    const error = await useGivenPostgres(url, runPrefix).catch((reason: unknown) => reason);
    if (!(error instanceof Error)) throw new Error("it was reached");
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain("s3cret");
  }
});

test("gives each service a database that the others can't open, and keeps its data", async () => {
  const options = { prefix: `${runPrefix}_cli`, passwords: { cart: "one".repeat(12), orders: "two".repeat(12) } };
  const urls = await provisionDatabases(adminUrl, options);
  const cartUrl = urls.get("cart") ?? "";
  const cart = await openSession(cartUrl);
  await cart.script("create table kept (id int); insert into kept values (1)");
  await cart.close();
  const trespass = new URL(cartUrl);
  trespass.pathname = new URL(urls.get("orders") ?? "").pathname;
  await expect(openSession(trespass.href)).rejects.toThrow(/permission denied for database/);

  const again = await provisionDatabases(adminUrl, options);
  const session = await openSession(again.get("cart") ?? "");
  expect(await session.query("select id from kept")).toEqual([{ id: 1 }]);
  await session.close();
});
