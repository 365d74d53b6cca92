import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { CreateReservationResponse } from "#gen/shop/inventory/v1/inventory_service.ts";
import { newId } from "#mesh/ids.ts";
import { migrate } from "#mesh/postgres/index.ts";
import { removeFolder, temporaryFolder } from "#testing/folders.ts";
import { testDatabase } from "#testing/postgres.ts";

test("requests that made reservations before they were kept with them are known after the migration", async () => {
  const before = await temporaryFolder();
  for (const name of ["0001_init.sql", "0002_restock.sql"]) {
    await copyFile(new URL(`./migrations/${name}`, import.meta.url), join(before, name));
  }
  const database = await testDatabase(pathToFileURL(`${before}/`));
  const { db } = database;
  const [id, other] = [newId("res"), newId("res")];
  for (const each of [id, other]) {
    await db.query("insert into reservations values ($1, 'ord_1', 'ACTIVE', now(), now(), now())", [each]);
  }
  const response = CreateReservationResponse.fromPartial({ reservation: { id, reference: "ord_1" } });
  await db.query("insert into once_requests values ($1, 'service:orders', 'req_1', $2, $3, now())", [
    "/shop.inventory.v1.InventoryService/CreateReservation",
    Buffer.from("hash"),
    CreateReservationResponse.encode(response).finish(),
  ]);
  expect(await migrate(db, new URL("./migrations/", import.meta.url))).toContain("0003_requests.sql");
  const rows = await db.query("select id, principal, request_id, request_sha256 from reservations order by id");
  expect(rows).toEqual([
    { id, principal: "service:orders", request_id: "req_1", request_sha256: Buffer.from("hash") },
    { id: other, principal: null, request_id: null, request_sha256: null },
  ]);
  await database.close();
  await removeFolder(before);
});
