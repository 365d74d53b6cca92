import { decodeProtectedHeader } from "jose";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createKeyRing, KEYS_MAX_AGE_MS, type SigningKeySource } from "#mesh/identity/key-ring.ts";
import { createUserTokens } from "#mesh/identity/user-tokens.ts";
import { newId } from "#mesh/ids.ts";
import { type FakeClock, fakeClock } from "#testing/clock.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { rotateByAge } from "./key-rotation.ts";
import {
  currentKeys,
  KEY_LIFE_MS,
  nextKey,
  openSigner,
  PUBLISH_AHEAD_MS,
  publicKeys,
  publishNextKey,
} from "./signing-keys.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;

let database: TestDatabase;
let clock: FakeClock;
const log = pino({ level: "silent" });

beforeEach(async () => {
  clock = fakeClock();
  database = await testDatabase(new URL("./migrations/", import.meta.url));
});
afterEach(() => database.close());

const deps = () => ({ db: database.db, clock, newId, log });
const signer = () => openSigner(database.db, clock, newId);
const subject = { userId: "usr_1", kind: "customer", roles: [], sessionId: "ses_1" } as const;
const keyIds = async () => (await currentKeys(database.db, clock)).map(({ id }) => id);

/** A service that keeps an answer for as long as it may, and asks for nothing in between. */
function patientVerifier(source: SigningKeySource) {
  let kept: { readonly keys: Awaited<ReturnType<SigningKeySource["keys"]>>; readonly atMs: number } | undefined;
  const asked: SigningKeySource = {
    async keys(signal) {
      const nowMs = clock.now().getTime();
      if (kept === undefined || nowMs - kept.atMs >= KEYS_MAX_AGE_MS) {
        kept = { keys: await source.keys(signal), atMs: nowMs };
      }
      return kept.keys;
    },
  };
  // A ring that remembers nothing itself, so that what is kept above is all that it knows.
  return {
    verify: (token: string) =>
      createUserTokens(
        createKeyRing(asked, log, () => clock.now().getTime()),
        clock,
      ).verify(token),
  };
}

describe("a rotation", () => {
  test("is noticed by nobody: several sign, and those who verify keep what they know for as long as they may", async () => {
    const signers = await Promise.all([signer(), signer(), signer()]);
    clock.advance(KEY_LIFE_MS);
    const source: SigningKeySource = { keys: () => publicKeys(database.db, clock) };
    // Of different ages, so that some have just asked when the key is published.
    const verifiers = [];
    for (let at = 0; at < 4; at += 1) {
      const ring = createKeyRing(source, log, () => clock.now().getTime());
      verifiers.push({ delaySteps: at * 9, patient: patientVerifier(source), usual: createUserTokens(ring, clock) });
    }
    const [stepMs, steps] = [30 * SECOND_MS, 110];
    const made: string[][] = [];
    const keysUsed = new Set<string>();
    for (let step = 0; step < steps; step += 1) {
      // In the middle of what the verifiers keep.
      if (step === 30) await Promise.all([rotateByAge(deps()), rotateByAge(deps()), rotateByAge(deps())]);
      const signed = await Promise.all(signers.map((one) => one.sign(subject, clock.now())));
      made.push(signed.map(({ token }) => token));
      for (const { token } of signed) keysUsed.add(String(decodeProtectedHeader(token).kid));
      for (const { delaySteps, patient, usual } of verifiers) {
        for (const token of made[step - delaySteps] ?? []) {
          expect((await patient.verify(token)).id).toBe(subject.userId);
          expect((await usual.verify(token)).id).toBe(subject.userId);
        }
      }
      clock.advance(stepMs);
    }
    expect(keysUsed.size).toBe(2);
    const rows = await database.db.query("select id from signing_keys");
    expect(rows).toHaveLength(2);
    await rotateByAge(deps());
    expect(await database.db.query("select id from signing_keys")).toHaveLength(1);
  });

  test("publishes a key before it signs, and keeps the one before for as long as its tokens", async () => {
    const sign = await signer();
    const [first = ""] = await keyIds();
    expect(await publishNextKey(database.db, await nextKey(clock, newId), 0)).toBe(true);
    const [, second = ""] = await keyIds();
    expect(await keyIds()).toEqual([first, second]);
    const kidNow = async () => decodeProtectedHeader((await sign.sign(subject, clock.now())).token).kid;
    clock.advance(PUBLISH_AHEAD_MS - 1);
    expect(await kidNow()).toBe(first);
    clock.advance(1);
    expect(await kidNow()).toBe(second);
    expect(await keyIds()).toEqual([second, first]);
    clock.advance(15 * MINUTE_MS);
    expect(await keyIds()).toEqual([second, first]);
    clock.advance(5 * MINUTE_MS);
    expect(await keyIds()).toEqual([second]);
  });

  test("of many at once publishes one key, and none more until that signs", async () => {
    await signer();
    const publish = async () => publishNextKey(database.db, await nextKey(clock, newId), 0);
    const published = await Promise.all(Array.from({ length: 10 }, publish));
    expect(published.filter((one) => one)).toHaveLength(1);
    expect(await publish()).toBe(false);
    clock.advance(PUBLISH_AHEAD_MS);
    expect(await publish()).toBe(true);
  });

  test("that is cut off half-way leaves the key that signs, and can be made again", async () => {
    await signer();
    const before = await keyIds();
    const cut = database.db.transaction(async (tx) => {
      await publishNextKey(tx, await nextKey(clock, newId), 0);
      throw new Error("cut off");
    });
    await expect(cut).rejects.toThrow("cut off");
    expect(await keyIds()).toEqual(before);
    expect(await publishNextKey(database.db, await nextKey(clock, newId), 0)).toBe(true);
  });

  test("comes by itself with age, and not before", async () => {
    await signer();
    clock.advance(KEY_LIFE_MS - 1);
    await rotateByAge(deps());
    expect(await keyIds()).toHaveLength(1);
    clock.advance(1);
    await rotateByAge(deps());
    expect(await keyIds()).toHaveLength(2);
    const events = await database.db.query("select kind, actor, user_id from security_events");
    expect(events).toEqual([{ kind: "signing_key_rotated", actor: "identity", user_id: null }]);
  });
});
