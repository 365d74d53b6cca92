import { describe, expect, test } from "vitest";
import {
  type Authorities,
  type AuthorityKey,
  advance,
  CLOCK_SKEW_MS,
  firstAuthority,
  hasBegun,
  INTRODUCE_MAX_MS,
  INTRODUCE_MIN_MS,
  introduce,
  isRotating,
  nextGeneration,
  signingAuthority,
  withLifetime,
} from "./domain.ts";

const begin = new Date("2026-11-22T12:00:00Z");
const HOUR_MS = 3_600_000;
const by = { caller: "operator", requestId: "r-1" };

describe("a rotation", () => {
  test("lets the new authority sign when everybody knows it, and not before they had the time", () => {
    const rotating = rotation();
    expect(statesAt(rotating, INTRODUCE_MIN_MS - 1, { isKnown: true })).toEqual(["SIGNING", "INTRODUCED"]);
    expect(statesAt(rotating, INTRODUCE_MIN_MS, { isKnown: true })).toEqual(["RETIRING", "SIGNING"]);
  });

  test("waits for those who do not acknowledge, for a minute", () => {
    const rotating = rotation();
    expect(statesAt(rotating, INTRODUCE_MAX_MS - 1)).toEqual(["SIGNING", "INTRODUCED"]);
    expect(statesAt(rotating, INTRODUCE_MAX_MS)).toEqual(["RETIRING", "SIGNING"]);
  });

  test("gives everybody the time again after a restart, when nobody may have heard of it", () => {
    const toldSince = after(HOUR_MS);
    const rotating = rotation();
    const early = HOUR_MS + INTRODUCE_MIN_MS - 1;
    expect(statesAt(rotating, early, { isKnown: true, toldSince })).toEqual(["SIGNING", "INTRODUCED"]);
    expect(statesAt(rotating, early + 1, { isKnown: true, toldSince })).toEqual(["RETIRING", "SIGNING"]);
  });

  test("drops the old authority when the last of its certificates has expired", () => {
    const handedOver = step(rotation(), INTRODUCE_MAX_MS);
    const last = INTRODUCE_MAX_MS + HOUR_MS + CLOCK_SKEW_MS;
    expect(statesAt(handedOver, last - 1)).toEqual(["RETIRING", "SIGNING"]);
    expect(statesAt(handedOver, last)).toEqual(["SIGNING"]);
    expect(signingAuthority(step(handedOver, last)).generation).toBe(2);
  });

  test("drops it only after the longest of its certificates, when the setting has become shorter", () => {
    const longer = { ...rotation(), trusted: withLifetime(rotation(), 2 * HOUR_MS).trusted };
    const handedOver = step(longer, INTRODUCE_MAX_MS);
    expect(statesAt(handedOver, INTRODUCE_MAX_MS + HOUR_MS + CLOCK_SKEW_MS)).toEqual(["RETIRING", "SIGNING"]);
    expect(statesAt(handedOver, INTRODUCE_MAX_MS + 2 * HOUR_MS + CLOCK_SKEW_MS)).toEqual(["SIGNING"]);
  });

  test("leaves no key of an authority that signs no more", () => {
    const [old, fresh] = step(rotation(), INTRODUCE_MAX_MS).trusted;
    expect(old?.privateKey).toBe(undefined);
    expect(fresh?.privateKey).toBe("key 2");
  });

  test("always has one authority that signs", () => {
    let authorities = rotation();
    for (let ms = 0; ms < 2 * HOUR_MS; ms += 7_000) {
      authorities = step(authorities, ms);
      expect(authorities.trusted.filter(({ state }) => state === "SIGNING")).toHaveLength(1);
    }
    expect(isRotating(authorities)).toBe(false);
  });

  test("is known by its request, also when it is over", () => {
    const over = step(step(rotation(), INTRODUCE_MAX_MS), 2 * HOUR_MS);
    expect(hasBegun(over, by)).toBe(true);
    expect(hasBegun(over, { ...by, requestId: "r-2" })).toBe(false);
    expect(hasBegun(over, { ...by, caller: "somebody" })).toBe(false);
  });
});

test("nothing changes while nothing is due", () => {
  const first = firstAuthority(key(1), HOUR_MS);
  expect(step(first, 365 * 24 * HOUR_MS)).toBe(first);
  expect(withLifetime(first, HOUR_MS)).toBe(first);
});

function rotation(): Authorities {
  const first = firstAuthority(key(1), HOUR_MS);
  return introduce(first, key(nextGeneration(first)), by);
}

interface Told {
  readonly isKnown?: boolean;
  readonly toldSince?: Date;
}

function step(authorities: Authorities, ms: number, { isKnown = false, toldSince = begin }: Told = {}): Authorities {
  return advance(authorities, { now: after(ms), toldSince, isKnown, lifetimeMs: HOUR_MS });
}

function statesAt(authorities: Authorities, ms: number, told: Told = {}): readonly string[] {
  return step(authorities, ms, told).trusted.map(({ state }) => state);
}

function after(ms: number): Date {
  return new Date(begin.getTime() + ms);
}

function key(generation: number): AuthorityKey {
  const expireTime = after(10 * 365 * 24 * HOUR_MS);
  const texts = { certificate: `certificate ${generation}`, privateKey: `key ${generation}`, fingerprint: "00" };
  return { generation, createTime: begin, expireTime, ...texts };
}
