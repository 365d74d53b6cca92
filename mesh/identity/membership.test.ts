import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { IssuedCertificate } from "#gen/mesh/v1/certificate_service.ts";
import { meshFailure, RpcError } from "#mesh/contract/errors.ts";
import { createTestAuthority, type IssueOptions, type TestAuthority } from "#testing/authority.ts";
import { type FakeClock, fakeClock } from "#testing/clock.ts";
import type { Certificates, JoinError } from "./certificates.ts";
import { type Ask, createMembership, type Membership, type MembershipOptions } from "./membership.ts";

let first: TestAuthority;
let second: TestAuthority;
beforeAll(async () => {
  [first, second] = await Promise.all([createTestAuthority(1n), createTestAuthority(2n)]);
});

let clock: FakeClock;
const open: Membership[] = [];
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  clock = fakeClock(new Date());
});
afterEach(() => {
  for (const membership of open.splice(0)) membership.close();
  vi.useRealTimers();
});

const HOUR_MS = 3_600_000;

/** What control would answer. */
async function issued(
  authority: TestAuthority,
  publicKey: Buffer,
  options: IssueOptions = {},
): Promise<IssuedCertificate> {
  const expireTime = options.expireTime ?? new Date(clock.now().getTime() + HOUR_MS);
  return {
    certificate: await authority.certify(publicKey, "cart", { ...options, expireTime }),
    trustedCertificates: [authority.certificate],
    generation: authority === first ? 1n : 2n,
    expireTime,
  };
}

const asks =
  (authority: () => TestAuthority): Ask =>
  (publicKey) =>
    issued(authority(), publicKey);
const refusal = new RpcError({
  code: "UNAUTHENTICATED",
  reason: "JOIN_TOKEN_INVALID",
  message: "the token has expired",
});
const unavailable: Ask = () => Promise.reject(meshFailure("SERVICE_UNAVAILABLE", "control is away"));
const lines: { level: string; fields: object; text: string }[] = [];
const write = (level: string) => (fields: object, text?: string) => lines.push({ level, fields, text: text ?? "" });

function member(options: Partial<MembershipOptions> = {}): { membership: Membership; lost: JoinError[] } {
  const lost: JoinError[] = [];
  lines.length = 0;
  const membership = createMembership({
    service: "cart",
    join: asks(() => first),
    canRejoin: false,
    timeoutMs: 60_000,
    renew: asks(() => first),
    clock,
    random: () => 0.5,
    log: { info: write("info"), warn: write("warn"), error: write("error") },
    onLost: (error) => lost.push(error),
    ...options,
  });
  open.push(membership);
  return { membership, lost };
}

/** Moves clock and timers on together, as they move while a machine is awake. */
async function pass(ms: number): Promise<void> {
  const stepMs = 5_000;
  for (let leftMs = ms; leftMs > 0; leftMs -= stepMs) {
    clock.advance(Math.min(stepMs, leftMs));
    await vi.advanceTimersByTimeAsync(Math.min(stepMs, leftMs));
  }
}

const held = (membership: Membership): Promise<Certificates> =>
  vi.waitFor(() => {
    const certificates = membership.current();
    if (certificates === undefined) throw new Error("not joined yet");
    return certificates;
  });

const next = (membership: Membership, before: Certificates): Promise<Certificates> =>
  vi.waitFor(() => {
    const certificates = membership.current();
    if (certificates === undefined || certificates.certificate === before.certificate)
      throw new Error("not renewed yet");
    return certificates;
  });

describe("joining", () => {
  test("goes on until it succeeds, and says each time why it did not", async () => {
    let tries = 0;
    const { membership } = member({
      join: (publicKey, signal) => (++tries < 4 ? unavailable(publicKey, signal) : issued(first, publicKey)),
    });
    await vi.waitFor(() => expect(lines).toHaveLength(1));
    for (let i = 2; i <= 4; i++) {
      await pass(10_000);
      await vi.waitFor(() => expect(tries).toBeGreaterThanOrEqual(i));
    }
    expect(await held(membership)).toMatchObject({ service: "cart", generation: 1n });
    // At first whoever is asked may be about to start, too.
    expect(lines.slice(0, 3).map(({ level }) => level)).toEqual(["info", "warn", "warn"]);
    expect(lines[0]?.fields).toMatchObject({ reason: "control is away (SERVICE_UNAVAILABLE)" });
  });

  test("ends at once when the token is refused", async () => {
    const { membership, lost } = member({
      join: () => Promise.reject(refusal),
    });
    await vi.waitFor(() => expect(lost).toHaveLength(1));
    expect(lost[0]?.message).toBe("cart may not join the mesh: the token has expired (JOIN_TOKEN_INVALID)");
    expect(membership.current()).toBeUndefined();
  });

  test("ends after a minute when there is nobody to ask", async () => {
    const { lost } = member({ join: unavailable });
    for (let i = 0; i < 10 && lost.length === 0; i++) await pass(10_000);
    expect(lost[0]?.message).toMatch(/^cart could not join the mesh within 60 s: control is away/);
  });

  test.each<[string, Ask, RegExp]>([
    [
      "of another service",
      async (key) => issued(first, key, { uris: ["spiffe://shopmesh/orders"] }),
      /of orders, not of cart/,
    ],
    ["of another key", async () => issued(first, await foreignKey()), /of another key/],
    ["that is none", async (key) => ({ ...(await issued(first, key)), certificate: "none" }), /no certificate/],
    [
      "without an authority",
      async (key) => ({ ...(await issued(first, key)), trustedCertificates: [] }),
      /no certificate/,
    ],
  ])("takes no certificate %s", async (_, join, message) => {
    const { lost } = member({ join });
    await vi.waitFor(() => expect(lost[0]?.message).toMatch(message));
  });
});

async function foreignKey(): Promise<Buffer> {
  const { generateKeyPairSync } = await import("node:crypto");
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ type: "spki", format: "der" });
}

describe("a certificate", () => {
  test("is renewed at half its life, with another key", async () => {
    const { membership } = member();
    const before = await held(membership);
    await pass(HOUR_MS / 2 - 120_000);
    expect(membership.current()).toBe(before);
    await pass(240_000);
    const after = await next(membership, before);
    expect(after.privateKey).not.toBe(before.privateKey);
    expect(after.expireTime > before.expireTime).toBe(true);
  });

  test("is kept when it cannot be renewed, until it can", async () => {
    let away = true;
    const { membership, lost } = member({
      renew: (key, signal) => (away ? unavailable(key, signal) : issued(first, key)),
    });
    const before = await held(membership);
    await pass(HOUR_MS * 0.75);
    expect(membership.current()).toBe(before);
    expect(lines.filter(({ text }) => text.startsWith("could not renew")).length).toBeGreaterThan(5);
    away = false;
    await pass(60_000);
    await next(membership, before);
    expect(lost).toEqual([]);
  });

  test("that has expired and cannot be renewed ends the process, when it had one token alone", async () => {
    const { membership, lost } = member({ renew: unavailable });
    await held(membership);
    await pass(HOUR_MS + 60_000);
    expect(lost[0]?.message).toMatch(/the certificate of cart has expired, and could not be renewed: control is away/);
  });

  test("that has expired is replaced by joining anew, when there is a key that makes tokens", async () => {
    const { membership, lost } = member({ renew: unavailable, canRejoin: true });
    const before = await held(membership);
    await pass(HOUR_MS + 60_000);
    await next(membership, before);
    expect(lost).toEqual([]);
  });

  test("is found to have expired soon after the machine was asleep, while timers stood still", async () => {
    const { membership } = member({ renew: unavailable, canRejoin: true });
    const before = await held(membership);
    clock.advance(2 * HOUR_MS);
    await pass(20_000);
    await next(membership, before);
  });
});

describe("trust", () => {
  test("changes at once, and the certificate stays as long as the same authority signs", async () => {
    const { membership } = member();
    const before = await held(membership);
    membership.trust({ certificates: [first.certificate, second.certificate], generation: 1n });
    expect(membership.current()).toEqual({ ...before, trusted: [first.certificate, second.certificate] });
    await pass(60_000);
    expect(membership.current()?.certificate).toBe(before.certificate);
  });

  test("in a new signer has the certificate renewed at once", async () => {
    let signer = first;
    const { membership } = member({ renew: asks(() => signer) });
    const before = await held(membership);
    const both = [first.certificate, second.certificate];
    membership.trust({ certificates: both, generation: 1n });
    signer = second;
    membership.trust({ certificates: both, generation: 2n });
    await pass(1_000);
    expect(await next(membership, before)).toMatchObject({ generation: 2n, trusted: both });
    membership.trust({ certificates: [second.certificate], generation: 2n });
    expect(membership.current()?.trusted).toEqual([second.certificate]);
  });

  test("keeps an authority that signed a newer certificate than was told of", async () => {
    let signer = first;
    const { membership } = member({ renew: asks(() => signer) });
    const before = await held(membership);
    membership.trust({ certificates: [first.certificate], generation: 1n });
    signer = second;
    await pass(HOUR_MS * 0.6);
    expect((await next(membership, before)).trusted).toEqual([first.certificate, second.certificate]);
  });

  test.each([[[]], [["none"]]])("is not changed by %j", async (certificates) => {
    const { membership } = member();
    const before = await held(membership);
    membership.trust({ certificates, generation: 9n });
    await pass(60_000);
    expect(membership.current()).toBe(before);
    expect(lines.at(-1)?.level).toBe("error");
  });

  test("asks once for a renewal, also when what comes is of the old signer still", async () => {
    let asked = 0;
    const { membership } = member({
      renew: (key) => {
        asked += 1;
        return issued(first, key);
      },
    });
    await held(membership);
    membership.trust({ certificates: [first.certificate, second.certificate], generation: 2n });
    await pass(60_000);
    await vi.waitFor(() => expect(asked).toBe(1));
  });
});
