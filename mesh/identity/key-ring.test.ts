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

interface Source {
  keys: readonly JWK[];
  failing: boolean;
  fetches: number;
  /** What the source waits for before it answers with the keys that there were when it was asked. */
  answers?: Promise<void>;
}

/** A key ring over a source that can change and fail, in time that only the test moves. */
function ring() {
  const source: Source = { keys: [first], failing: false, fetches: 0 };
  let now = 0;
  const keys = async () => {
    source.fetches += 1;
    const found = source.keys;
    await source.answers;
    if (source.failing) throw new Error("identity is down");
    return found;
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

test("fetches keys anew before they are too old, and nobody waits for it", async () => {
  const { source, keyRing, advance } = ring();
  await keyRing.find("first");
  source.keys = [first, second];
  let answer: () => void = () => {};
  source.answers = new Promise((resolve) => (answer = resolve));
  advance(300_000);
  expect(await keyRing.find("first")).toBeDefined();
  expect(await keyRing.find("first")).toBeDefined();
  expect(source.fetches).toBe(2);
  answer();
  await expect.poll(() => keyRing.find("second")).toBeDefined();
  advance(299_999);
  await keyRing.find("first");
  expect(source.fetches).toBe(2);
});

test("asks a source that is away every five seconds, and keeps nobody waiting in between", async () => {
  const { source, keyRing, advance } = ring();
  await keyRing.find("first");
  source.failing = true;
  advance(600_000);
  for (let second = 0; second < 10; second += 1) {
    for (let call = 0; call < 100; call += 1) expect(await keyRing.find("first")).toBeDefined();
    advance(1_000);
  }
  expect(source.fetches).toBe(3);
});

test("says why an unknown key cannot be looked for, and does not ask a source that just failed", async () => {
  const { source, keyRing, advance } = ring();
  await keyRing.find("first");
  source.failing = true;
  advance(5_000);
  for (let call = 0; call < 3; call += 1) await expect(keyRing.find("second")).rejects.toThrow("identity is down");
  expect(source.fetches).toBe(2);
  source.failing = false;
  source.keys = [first, second];
  advance(5_000);
  expect(await keyRing.find("second")).toBeDefined();
});

test("asks for a key that the source does not have once a minute", async () => {
  const { source, keyRing, advance } = ring();
  await keyRing.find("first");
  advance(5_000);
  expect(await keyRing.find("forged")).toBeUndefined();
  expect(source.fetches).toBe(2);
  advance(59_999);
  expect(await keyRing.find("forged")).toBeUndefined();
  expect(source.fetches).toBe(2);
  expect(await keyRing.find("forged too")).toBeUndefined();
  expect(source.fetches).toBe(3);
  advance(5_000);
  source.keys = [first, second];
  expect(await keyRing.find("second")).toBeDefined();
  expect(await keyRing.find("forged")).toBeUndefined();
  expect(source.fetches).toBe(4);
});

test("does not hold it against a key that an answer under way did not have it", async () => {
  const { source, keyRing, advance } = ring();
  let answer: () => void = () => {};
  source.answers = new Promise((resolve) => (answer = resolve));
  const waiting = keyRing.find("first");
  const early = keyRing.find("second");
  source.keys = [first, second];
  answer();
  expect(await waiting).toBeDefined();
  expect(await early).toBeUndefined();
  advance(5_000);
  expect(await keyRing.find("second")).toBeDefined();
});

test("refuses keys without an id", async () => {
  const { source, keyRing } = ring();
  source.keys = [{ ...first, kid: undefined }];
  await expect(keyRing.find("first")).rejects.toThrow(TypeError);
});
