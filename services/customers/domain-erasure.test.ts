import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type ErasureProgress,
  planErasure,
  type ServiceProgress,
  TOKENS_EXPIRE_AFTER_MS,
  waitMs,
} from "./domain-erasure.ts";

const start = new Date("2026-06-01T12:00:00Z");
const later = (ms: number, from = start) => new Date(from.getTime() + ms);
const at = (service: string, rounds = 0, changes: Partial<ServiceProgress> = {}): ServiceProgress => ({
  ...{ service, rounds, nextAttemptTime: start, answerTime: undefined },
  ...changes,
});
const running = (...services: readonly ServiceProgress[]): ErasureProgress => ({
  ...{ state: "RUNNING", verifyTime: undefined, services },
});
const verifying = (...services: readonly ServiceProgress[]): ErasureProgress => ({
  ...{ state: "VERIFYING", verifyTime: start, services },
});

describe("the first round", () => {
  test("ends the sessions before anything else", () => {
    const progress = running(at("cart"), at("identity"), at("orders"));
    expect(planErasure(progress, start)).toEqual({ kind: "ask", services: ["identity"], round: 1 });
  });

  test("asks all the others at once then, and those that are not clean again when it is time", () => {
    const waiting = at("orders", 0, { nextAttemptTime: later(5_000) });
    const progress = running(at("identity", 1), at("cart"), waiting, at("payments"));
    expect(planErasure(progress, start)).toEqual({ kind: "ask", services: ["cart", "payments"], round: 1 });
    const rest = running(at("identity", 1), at("cart", 1), waiting);
    expect(planErasure(rest, start)).toEqual({ kind: "wait", until: later(5_000) });
    expect(planErasure(rest, later(5_000))).toEqual({ kind: "ask", services: ["orders"], round: 1 });
  });

  test("is over when all are clean, and the second begins when the last access token has expired", () => {
    const progress = running(at("identity", 1, { answerTime: start }), at("orders", 1), at("customers", 2));
    const from = later(TOKENS_EXPIRE_AFTER_MS);
    expect(planErasure(progress, later(60_000))).toEqual({ kind: "verify", from });
    expect(TOKENS_EXPIRE_AFTER_MS).toBeGreaterThan(15 * 60_000);
  });
});

describe("the second round", () => {
  test("does not begin before its time", () => {
    const progress: ErasureProgress = { ...verifying(at("identity", 1)), verifyTime: later(1_000) };
    expect(planErasure(progress, later(999))).toEqual({ kind: "wait", until: later(1_000) });
    expect(planErasure(progress, later(1_000)).kind).toBe("ask");
  });

  test("asks those whom orders tell of things when orders have nothing left to tell", () => {
    const others = [at("cart", 1), at("shipping", 1), at("notifications", 1)];
    const asked = (...services: readonly string[]) => ({ kind: "ask", services, round: 2 });
    expect(planErasure(verifying(at("identity", 1), at("orders", 1), ...others), start)).toEqual(asked("identity"));
    expect(planErasure(verifying(at("identity", 2), at("orders", 1), ...others), start)).toEqual(asked("orders"));
    const open = at("orders", 1, { nextAttemptTime: later(1_000) });
    expect(planErasure(verifying(at("identity", 2), open, ...others), start)).toEqual({
      kind: "wait",
      until: later(1_000),
    });
    expect(planErasure(verifying(at("identity", 2), at("orders", 2), ...others), start)).toEqual(
      asked("cart", "shipping", "notifications"),
    );
    expect(planErasure(verifying(at("identity", 2), at("orders", 2), at("customers", 2)), start).kind).toBe("finish");
  });
});

test("whatever fails and however long, it ends, and each service was clean after the last token had expired", () => {
  const names = ["identity", "cart", "orders", "payments", "shipping", "notifications"];
  const outcomes = fc.infiniteStream(fc.boolean());
  fc.assert(
    fc.property(outcomes, fc.integer({ min: 0, max: 12 }), (clean, failures) => {
      let now = start;
      let left = failures;
      const lastClean = new Map<string, Date>();
      let progress = running(...names.map((name) => at(name)));
      for (let step = 0; step < 200; step += 1) {
        const plan = planErasure(progress, now);
        if (plan.kind === "finish") {
          const { verifyTime = start } = progress;
          expect(names.every((name) => (lastClean.get(name) ?? start) >= verifyTime)).toBe(true);
          return;
        }
        if (plan.kind === "wait") {
          expect(plan.until > now).toBe(true);
          now = plan.until;
        } else if (plan.kind === "verify") {
          progress = { ...progress, state: "VERIFYING", verifyTime: plan.from };
        } else {
          expect(plan.services).not.toEqual([]);
          const services = progress.services.map((one) => {
            if (!plan.services.includes(one.service)) return one;
            const fails = left > 0 && clean.next().value === false;
            if (fails) left -= 1;
            if (!fails) lastClean.set(one.service, now);
            return fails
              ? { ...one, nextAttemptTime: later(waitMs(1, 0.5), now) }
              : { ...one, rounds: plan.round, answerTime: now };
          });
          progress = { ...progress, services };
        }
      }
      expect.fail("it does not end");
    }),
  );
});

test("waits grow from a second to ten minutes, and differ", () => {
  expect(waitMs(1, 1)).toBe(1_000);
  expect(waitMs(1, 0)).toBe(500);
  expect(waitMs(5, 1)).toBe(16_000);
  expect(waitMs(500, 1)).toBe(600_000);
});
