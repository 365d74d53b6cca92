import { expect, test } from "vitest";
import { configuredPostgresUrl } from "./configured.ts";

test("is the embedded server unless another is named", () => {
  expect(configuredPostgresUrl({})).toBeUndefined();
  expect(configuredPostgresUrl({ SHOPMESH_POSTGRES_URL: "" })).toBeUndefined();
});

test.each(["postgres://u:p@h:5432/d", "postgresql://h/d"])("takes %s", (url) => {
  expect(configuredPostgresUrl({ SHOPMESH_POSTGRES_URL: url })).toBe(url);
});

test.each(["mysql://u:secret@h/d", "u:secret@h", "localhost:5432"])("refuses %s, and keeps it to itself", (url) => {
  const refuse = () => configuredPostgresUrl({ SHOPMESH_POSTGRES_URL: url });
  expect(refuse).toThrow(/^SHOPMESH_POSTGRES_URL must look like/);
  expect(refuse).not.toThrow(/secret/);
});
