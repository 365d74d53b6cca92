import { expect, test } from "vitest";
import { changeAddress, changeProfile, checkEtag, etagOf, namesAddress, type Profile } from "./domain.ts";

const before: Profile = { displayName: "Ada", phone: "1", languageCode: "en", defaultAddressId: "adr_1" };
const input: Profile = { displayName: "Countess", phone: "2", languageCode: "", defaultAddressId: "" };

test("sets the fields that the mask names, and no others", () => {
  const changed = changeProfile(before, input, ["display_name", "language_code", "display_name"]);
  expect(changed).toEqual({ ok: true, value: { ...before, displayName: "Countess", languageCode: "" } });
  const all = ["display_name", "phone", "language_code", "default_address_id"];
  expect(changeProfile(before, input, all)).toEqual({ ok: true, value: input });
});

test.each([
  [[], ""],
  [["displayName"], "displayName"],
  [["phone", "id"], "id"],
  [["*"], "*"],
  [["constructor"], "constructor"],
])("refuses the mask %j", (mask, path) => {
  const error = { kind: "update_path_unknown", path };
  expect(changeProfile(before, input, mask)).toEqual({ ok: false, error });
  expect(namesAddress(mask)).toEqual({ ok: false, error: { ...error, path: path === "id" ? "phone" : path } });
});

test("an address is set as a whole, or its label alone", () => {
  const address = {
    ...{
      recipient: "Ada",
      lines: ["Lane 1"],
      city: "London",
      postalCode: "",
      region: "",
      countryCode: "GB",
      phone: "",
    },
  };
  const other = { ...address, lines: ["Lane 2", "Rear"] };
  const kept = { label: "Home", address };
  expect(changeAddress(kept, { label: "Work", address: other }, ["label"])).toEqual({
    ok: true,
    value: { label: "Work", address },
  });
  expect(changeAddress(kept, { label: "", address: other }, ["address"])).toEqual({
    ok: true,
    value: { label: "Home", address: other },
  });
  expect([namesAddress(["label"]), namesAddress(["label", "address"])]).toEqual([
    { ok: true, value: false },
    { ok: true, value: true },
  ]);
});

test("an etag names one version, and none overwrites whatever is there", () => {
  expect(checkEtag({ version: 3n }, etagOf({ version: 3n }))).toBeUndefined();
  expect(checkEtag({ version: 3n }, "")).toBeUndefined();
  expect(checkEtag({ version: 3n }, etagOf({ version: 2n }))).toEqual({ kind: "etag_mismatch" });
});
