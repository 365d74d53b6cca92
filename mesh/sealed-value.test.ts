import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_SEALED_LENGTH, SEALING_KEY_BYTES, sealedValues } from "./sealed-value.ts";

const key = randomBytes(SEALING_KEY_BYTES);
const seals = sealedValues<{ readonly price: string }>({ key, kind: "rate", version: 1 });
const value = { price: "490" };
const expireTime = new Date(1_000_000);
const before = new Date(999_999);
const notAuthentic = { ok: false, error: { kind: "not_authentic" } };

describe("a sealed value", () => {
  it("comes back as it was, until it expires", () => {
    const text = seals.seal(value, expireTime);
    expect(text).toMatch(/^rate_[A-Za-z0-9_-]+$/);
    expect(seals.open(text, before)).toEqual({ ok: true, value });
    const expired = { ok: false, error: { kind: "expired", value, expireTime } };
    expect(seals.open(text, expireTime)).toEqual(expired);
    expect(seals.open(text, new Date(2_000_000))).toEqual(expired);
  });

  it("is the same text for the same value, from every process that has the key", () => {
    const another = sealedValues<{ readonly price: string }>({ key: Buffer.from(key), kind: "rate", version: 1 });
    expect(another.seal(value, expireTime)).toBe(seals.seal(value, expireTime));
  });

  it("carries whatever JSON can", () => {
    const any = sealedValues<string | { readonly [name: string]: string }>({ key, kind: "any", version: 1 });
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.dictionary(fc.string(), fc.string({ unit: "grapheme" }))), (given) => {
        const plain: typeof given = JSON.parse(JSON.stringify(given));
        const text = any.seal(plain, expireTime);
        fc.pre(text.length <= MAX_SEALED_LENGTH);
        expect(any.open(text, before)).toEqual({ ok: true, value: plain });
      }),
    );
  });

  it("is refused when any of its characters is another one, or when one is missing or too many", () => {
    const text = seals.seal(value, expireTime);
    const start = "rate_".length;
    for (let i = 0; i < text.length; i += 1) {
      const other = text[i] === "A" ? "B" : "A";
      expect(seals.open(text.slice(0, i) + other + text.slice(i + 1), before), `at ${i}`).toEqual(notAuthentic);
      if (i >= start) expect(seals.open(text.slice(0, i), before), `cut at ${i}`).toEqual(notAuthentic);
    }
    for (const more of ["A", "=", "!", " ", "\0"]) expect(seals.open(text + more, before)).toEqual(notAuthentic);
  });

  it.each([
    ["under another key", { key: randomBytes(SEALING_KEY_BYTES), kind: "rate", version: 1 }],
    ["as another kind", { key, kind: "option", version: 1 }],
    ["in another version", { key, kind: "rate", version: 2 }],
  ])("is refused when it was sealed %s", (_, options) => {
    const text = sealedValues<{ readonly price: string }>(options).seal(value, expireTime);
    expect(seals.open(`rate_${text.slice(text.indexOf("_") + 1)}`, before)).toEqual(notAuthentic);
  });

  it.each(["", "rate_", "rate_AAAA", "standard", "x".repeat(100_000), `rate_${"A".repeat(MAX_SEALED_LENGTH)}`])(
    "is not %.20s",
    (text) => expect(seals.open(text, before)).toEqual(notAuthentic),
  );

  it("wants a whole key", () => {
    expect(() => sealedValues({ key: key.subarray(1), kind: "rate", version: 1 })).toThrow("32 bytes");
  });
});

describe("a digest", () => {
  it("is the same for the same, and another for anything else, another key or another kind", () => {
    const digests = [
      seals.digest(["SKU-1", 2]),
      seals.digest(["SKU-1", 3]),
      seals.digest(["SKU-12"]),
      seals.digest([["SKU-1", 2]]),
      sealedValues({ key: randomBytes(SEALING_KEY_BYTES), kind: "rate", version: 1 }).digest(["SKU-1", 2]),
      sealedValues({ key, kind: "option", version: 1 }).digest(["SKU-1", 2]),
    ];
    expect(seals.digest(["SKU-1", 2])).toBe(digests[0]);
    expect(digests[0]).toHaveLength(22);
    expect(new Set(digests).size).toBe(digests.length);
  });
});
