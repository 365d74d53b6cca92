import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { contracts } from "#gen/contracts.ts";
import { requestFields } from "./descriptors.ts";
import { changingMethods } from "./once.ts";

/** What changes something and takes no request_id in its request, and why it is safe to repeat nonetheless. */
const WITHOUT_REQUEST_ID: Readonly<Record<string, string>> = {
  "mesh.v1.CertificateService/joinMesh": "the token is one, and good for one key",
  "mesh.v1.RegistryService/register": "the instance's name is one, and the later registration holds",
  "shop.catalog.v1.CatalogService/importProducts":
    "a stream, whose header has one; every row is found by its external_key, and is written again as it is",
  "shop.payments.v1.PaymentService/handleWebhook": "the sender's event id stands in the payload",
};

test("every method that changes something takes a request_id, and declares itself idempotent", () => {
  const without = contracts.flatMap((contract) =>
    changingMethods(contract)
      .filter((method) => !requestFields(contract, method).includes("request_id"))
      .map((method) => `${contract.name}/${method}`),
  );
  expect(without.sort()).toEqual(Object.keys(WITHOUT_REQUEST_ID).sort());
  const methods: readonly { readonly idempotency: string }[] = contracts.flatMap(({ methods }) =>
    Object.values(methods),
  );
  expect(methods.filter(({ idempotency }) => idempotency === "UNKNOWN")).toEqual([]);
});

/** Where a contract's owner stands: in a folder of services, but for what is no service. */
const FOLDERS: Readonly<Record<string, string>> = { supervisor: "../cli/" };

test.each(contracts.filter((contract) => changingMethods(contract).length > 0))(
  "$name is shown to have each effect once",
  ({ name, owner }) => {
    const file = new URL(`${FOLDERS[owner] ?? "../services/"}${owner}/once.test.ts`, import.meta.url);
    const text = existsSync(file) ? readFileSync(file, "utf8") : "";
    expect(text.includes(`testOnce(${name.slice(name.lastIndexOf(".") + 1)},`), `${file.pathname} tests it`).toBe(true);
  },
);

test("docs/once.md says of each of them what it is remembered by, and for how long", () => {
  const text = readFileSync(new URL("../docs/once.md", import.meta.url), "utf8");
  const table = text.split("\n").filter((line) => line.startsWith("| "));
  const missing = contracts.flatMap((contract) =>
    changingMethods(contract).filter((method) => {
      const name = `${method.charAt(0).toUpperCase()}${method.slice(1)}`;
      return !table.some((line) =>
        new RegExp(`^\\| (?:[a-z]+, )*${contract.owner}(?:, [a-z]+)* [^|]*\\b${name}\\b`).test(line),
      );
    }),
  );
  expect(missing).toEqual([]);
});
