import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { contracts } from "#gen/contracts.ts";
import { testDatabase } from "./postgres.ts";
import { listRpcs } from "./rpc-list.ts";
import { dumpSchema } from "./schema-dump.ts";

// What changes here is what others see or keep: it is meant to be read in a review. `npm run golden` writes it anew.

const services = new URL("../services/", import.meta.url);
const withData = readdirSync(services).filter((name) => existsSync(new URL(`${name}/migrations/`, services)));

test("services with data were found", () => {
  expect(withData.length).toBeGreaterThan(5);
});

test.each(withData)(
  "the schema of %s is that of its schema.golden.sql, or npm run golden was forgotten",
  async (name) => {
    const database = await testDatabase(new URL(`${name}/migrations/`, services));
    try {
      const schema = `-- What the migrations of ${name} come to. Not run by anybody; npm run golden writes it anew.\n\n${await dumpSchema(database.db)}`;
      await expect(schema).toMatchFileSnapshot(fileURLToPath(new URL(`${name}/schema.golden.sql`, services)));
    } finally {
      await database.close();
    }
  },
);

test("the RPCs and their policies are those of rpcs.golden.txt, or npm run golden was forgotten", async () => {
  const file = new URL("../proto/rpcs.golden.txt", import.meta.url);
  await expect(listRpcs(contracts)).toMatchFileSnapshot(fileURLToPath(file));
});
