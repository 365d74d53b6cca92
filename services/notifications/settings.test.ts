import { describe, expect, test } from "vitest";
import { ConfigError } from "#mesh/config.ts";
import { readMailSettings } from "./settings.ts";

const FROM = "Shop <orders@shop.example>";
const read = (url: string, from = FROM) => readMailSettings({ SHOPMESH_SMTP_URL: url, SHOPMESH_MAIL_FROM: from });

describe("SHOPMESH_SMTP_URL", () => {
  test.each([
    ["smtp://mail.example", { host: "mail.example", port: 587, tls: "upgrade", credentials: undefined }],
    ["smtp://mail.example:25?tls=off", { host: "mail.example", port: 25, tls: "none" }],
    ["smtps://mail.example/", { host: "mail.example", port: 465, tls: "always" }],
    ["smtp://127.0.0.1:2525", { host: "127.0.0.1", port: 2525, tls: "none" }],
    ["smtp://[::1]:2525", { host: "::1", port: 2525, tls: "none" }],
    ["smtp://127.0.0.1.example", { tls: "upgrade" }],
    ["smtp://a%40b:p%2Fw@mail.example", { credentials: { user: "a@b", password: "p/w" } }],
  ])("%s is read", (url, smtp) => {
    expect(read(url).smtp).toMatchObject(smtp);
  });
  test.each([
    "mail.example:25",
    "http://user:s3cret@mail.example",
    "smtp://user:s3cret@mail.example?tls=maybe",
    "smtps://user:s3cret@mail.example?tls=off",
    "smtp://user:s3cret@mail.example/path",
    "smtp://user:s3cret%E0@mail.example",
    "smtp://",
  ])("%s is refused, and not repeated", (url) => {
    expect(() => read(url)).toThrow(ConfigError);
    expect(() => read(url)).not.toThrow(/s3cret/);
  });
});

describe("SHOPMESH_MAIL_FROM", () => {
  test.each([
    [FROM, { name: "Shop", email: "orders@shop.example", domain: "shop.example" }],
    ["Motion & Söhne <a.b@x>", { name: "Motion & Söhne", email: "a.b@x", domain: "x" }],
    ["orders@shop.example", { name: "shop.example", email: "orders@shop.example" }],
  ])("%s is read", (text, from) => {
    expect(read("smtp://mail.example", text).from).toMatchObject(from);
  });
  test.each(["Shop", "Shop <orders>", "a@b, c@d", "Shop <a@b> <c@d>", "Shop <a@b\r\nBcc: c@d>", "a @b", "ä@b"])(
    "%j is refused",
    (text) => {
      expect(() => read("smtp://mail.example", text)).toThrow(ConfigError);
    },
  );
  test("has to be there", () => {
    expect(() => readMailSettings({ SHOPMESH_SMTP_URL: "smtp://mail.example" })).toThrow(
      "SHOPMESH_MAIL_FROM is not set",
    );
  });
});
