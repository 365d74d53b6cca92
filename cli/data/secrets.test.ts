import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadSecrets, readSecrets } from "./secrets.ts";

let dir: string;
let file: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "shopmesh-secrets-"));
  file = join(dir, "secrets.json");
});

afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

test("makes other secrets for each service and each folder, for their owner's eyes only", () => {
  const first = loadSecrets(file, ["cart", "orders"]);
  const other = loadSecrets(join(dir, "other.json"), ["cart", "orders"]);
  const all = [first, other].flatMap(({ databasePasswords, simulatorKey, webhookSecret, joinSecret }) => [
    ...Object.values(databasePasswords),
    simulatorKey,
    webhookSecret,
    joinSecret,
  ]);
  expect(new Set(all).size).toBe(10);
  for (const secret of all) expect(secret).toMatch(/^[0-9a-f]{64}$/);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test("keeps them from run to run, and adds those of a new service", () => {
  const first = loadSecrets(file, ["cart"]);
  const second = loadSecrets(file, ["cart", "orders"]);
  expect(second.databasePasswords.cart).toBe(first.databasePasswords.cart);
  expect(second.simulatorKey).toBe(first.simulatorKey);
  expect(second.webhookSecret).toBe(first.webhookSecret);
  expect(second.joinSecret).toBe(first.joinSecret);
  expect(second.databasePasswords.orders).toMatch(/^[0-9a-f]{64}$/);
  expect(loadSecrets(file, ["orders"])).toEqual(second);
});

test("can be read without making any", () => {
  expect(readSecrets(file)).toEqual({});
  const secrets = loadSecrets(file, ["cart"]);
  expect(readSecrets(file)).toEqual(secrets);
});

test("takes wide permissions away", () => {
  loadSecrets(file, ["cart"]);
  chmodSync(file, 0o644);
  loadSecrets(file, ["cart"]);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

const wrongFiles = [
  ...["", "not json", "[]", '{"simulatorKey":7}', '{"webhookSecret":""}', '{"databasePasswords":{"cart":""}}'],
  '{"joinSecret":"abcdef0123456789abcdef0123456789"}',
];

test.each(wrongFiles)("refuses a file that says %j, and leaves it as it is", (text) => {
  writeFileSync(file, text);
  expect(() => loadSecrets(file, ["cart"])).toThrow(/secrets\.json can't be used: /);
  expect(readFileSync(file, "utf8")).toBe(text);
});
