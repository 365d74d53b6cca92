import { exportJWK, generateKeyPair, type JWK } from "jose";
import { expect, test } from "vitest";
import { createLogger } from "#mesh/telemetry/log.ts";
import { createKeyRing, type KeyRing } from "./key-ring.ts";

const log = createLogger({ workload: "test", instance: "1", version: "test", level: "silent" });

async function makeKey(kid: string): Promise<JWK> {
  const { publicKey } = await generateKeyPair("EdDSA", { extractable: true });
  return { ...(await exportJWK(publicKey)), kid };
}

const first = await makeKey("first");
const second = await makeKey("second");

/** A key ring over a source that can change and fail, in time that only the test moves. */
function ring() {
  const source = { keys: [first], failing: false, fetches: 0 };
  let now = 0;
  const keys = async () => {
    source.fetches += 1;
    if (source.failing) throw new Error("identity is down");
    return source.keys;
  };
  const keyRing: KeyRing = createKeyRing({ keys }, log, () => now);
  return { source, keyRing, advance: (ms: number) => (now += ms) };
}

test("fetches the keys once for all who wait, and remembers them", async () => {
  const { source, keyRing } = ring();
  const found = await Promise.all([keyRing.find("first"), keyRing.find("first"), keyRing.find("first")]);
  expect(found.every((key) => key !== undefined)).toBe(true);
  await keyRing.find("first");
  expect(source.fetches).toBe(1);
});

test("asks again for an unknown key, but at most once in five seconds", async () => {
  const { source, keyRing, advance } = ring();
  await keyRing.find("first");
  source.keys = [first, second];
  expect(await keyRing.find("second")).toBeUndefined();
  advance(4_999);
  expect(await keyRing.find("second")).toBeUndefined();
  expect(source.fetches).toBe(1);
  advance(1);
  expect(await keyRing.find("second")).toBeDefined();
  expect(source.fetches).toBe(2);
});

test("asks again at once after a failure", async () => {
  const { source, keyRing } = ring();
  source.failing = true;
  await expect(keyRing.find("first")).rejects.toThrow("identity is down");
  source.failing = false;
  expect(await keyRing.find("first")).toBeDefined();
});

test("drops a key that was withdrawn within ten minutes, and keeps one while the source is away", async () => {
  const { source, keyRing, advance } = ring();
  await keyRing.find("first");
  advance(600_000);
  source.failing = true;
  expect(await keyRing.find("first")).toBeDefined();
  source.failing = false;
  source.keys = [second];
  advance(600_000);
  expect(await keyRing.find("first")).toBeUndefined();
});

test("refuses keys without an id", async () => {
  const { source, keyRing } = ring();
  source.keys = [{ ...first, kid: undefined }];
  await expect(keyRing.find("first")).rejects.toThrow(TypeError);
});
