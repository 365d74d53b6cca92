import { expect, test } from "vitest";
import { ConfigError, readMeshConfig, readSetting } from "./config.ts";

const read = (settings: Record<string, string> = {}) => readMeshConfig(settings);

test("needs nothing to begin with", () => {
  expect(readMeshConfig({})).toMatchObject({
    listen: { host: "127.0.0.1", port: 0 },
    advertise: "127.0.0.1",
    control: undefined,
    discovery: "mesh",
    dnsTarget: undefined,
    targets: {},
    logLevel: "info",
    instance: "1",
    version: "dev",
  });
});

test("reads what is set", () => {
  const config = read({
    SHOPMESH_LISTEN: "[::1]:4001",
    SHOPMESH_TARGETS: '{"catalog":["127.0.0.1:4001","127.0.0.1:4002"]}',
    SHOPMESH_DATABASE_URL: "postgres://cart@127.0.0.1/cart",
    SHOPMESH_ADVERTISE: "cart.shop.svc",
    SHOPMESH_CONTROL: "127.0.0.1:4000",
    SHOPMESH_DISCOVERY: "dns",
    SHOPMESH_DNS_TARGET: "{service}.shop.svc.cluster.local:9000",
    SHOPMESH_LOG_LEVEL: "debug",
    SHOPMESH_INSTANCE: "2",
    SHOPMESH_VERSION: "1.2.3",
  });
  expect(config).toMatchObject({
    listen: { host: "[::1]", port: 4001 },
    advertise: "cart.shop.svc",
    control: "127.0.0.1:4000",
    discovery: "dns",
    dnsTarget: "{service}.shop.svc.cluster.local:9000",
    targets: { catalog: ["127.0.0.1:4001", "127.0.0.1:4002"] },
    databaseUrl: "postgres://cart@127.0.0.1/cart",
    logLevel: "debug",
    instance: "2",
    version: "1.2.3",
  });
});

test.each<[string, Record<string, string>]>([
  ["SHOPMESH_LISTEN", { SHOPMESH_LISTEN: "4001" }],
  ["SHOPMESH_LISTEN", { SHOPMESH_LISTEN: "localhost:99999" }],
  ["SHOPMESH_TARGETS", { SHOPMESH_TARGETS: "catalog=127.0.0.1:4001" }],
  ["SHOPMESH_TARGETS", { SHOPMESH_TARGETS: '{"catalog":"127.0.0.1:4001"}' }],
  ["SHOPMESH_TARGETS", { SHOPMESH_TARGETS: '{"catalog":["127.0.0.1"]}' }],
  ["SHOPMESH_TARGETS", { SHOPMESH_TARGETS: "[]" }],
  ["SHOPMESH_LOG_LEVEL", { SHOPMESH_LOG_LEVEL: "loud" }],
  ["SHOPMESH_ADVERTISE", { SHOPMESH_ADVERTISE: "a b" }],
  ["SHOPMESH_CONTROL", { SHOPMESH_CONTROL: "control" }],
  ["SHOPMESH_DISCOVERY", { SHOPMESH_DISCOVERY: "xds" }],
  ["SHOPMESH_DNS_TARGET", { SHOPMESH_DISCOVERY: "dns" }],
  ["SHOPMESH_DNS_TARGET", { SHOPMESH_DISCOVERY: "dns", SHOPMESH_DNS_TARGET: "cart:9000" }],
  ["SHOPMESH_DNS_TARGET", { SHOPMESH_DISCOVERY: "dns", SHOPMESH_DNS_TARGET: "{service}.shop" }],
  ["SHOPMESH_INSTANCE", { SHOPMESH_INSTANCE: "cart_2" }],
  ["SHOPMESH_VERSION", { SHOPMESH_VERSION: "-1" }],
])("names %s when it is missing or malformed, and shows no secret", (name, settings) => {
  let error: unknown;
  try {
    read(settings);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(ConfigError);
  expect(String(error)).toContain(name);
  expect(String(error)).not.toContain("short");
});

test("asks for a database only where one is used", () => {
  expect(() => read().databaseUrl).toThrow("SHOPMESH_DATABASE_URL is not set");
});

test("reads a setting of a service's own", () => {
  const environment = { SHOPMESH_PAYMENT_GATEWAY_URL: "http://127.0.0.1:9", EMPTY: "" };
  expect(readSetting("SHOPMESH_PAYMENT_GATEWAY_URL", { environment })).toBe("http://127.0.0.1:9");
  expect(readSetting("EMPTY", { default: "x", environment })).toBe("x");
  expect(() => readSetting("EMPTY", { environment })).toThrow("EMPTY is not set");
});
