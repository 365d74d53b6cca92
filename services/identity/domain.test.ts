import { describe, expect, test } from "vitest";
import { normalizeEmail, planRefresh, REFRESH_GRACE_MS, type SessionState, type TokenState } from "./domain.ts";

const now = new Date("2026-06-01T12:00:00Z");
const later = new Date("2026-07-01T12:00:00Z");
const session: SessionState = {
  ...{ generation: 3, refreshRequestId: "r3", refreshTime: now },
  ...{ expireTime: later, revoked: false },
};
const token = (generation: number): TokenState => ({ generation });

describe("planRefresh", () => {
  test("the session's token leads to the next generation", () => {
    expect(planRefresh(session, token(3), "r4", now)).toEqual({ kind: "advance", generation: 4 });
  });
  test("the token before is good for the request that used it, whose answer may be lost", () => {
    expect(planRefresh(session, token(2), "r3", now)).toEqual({ kind: "repeat" });
    const still = new Date(now.getTime() + REFRESH_GRACE_MS - 1);
    expect(planRefresh(session, token(2), "r3", still)).toEqual({ kind: "repeat" });
  });
  test("the token before ends the session when its request comes again late", () => {
    const late = new Date(now.getTime() + REFRESH_GRACE_MS);
    expect(planRefresh(session, token(2), "r3", late)).toEqual({ kind: "revoke" });
  });
  test("the token before ends the session when anybody else comes with it", () => {
    expect(planRefresh(session, token(2), "other", now)).toEqual({ kind: "revoke" });
    expect(planRefresh(session, token(0), "r3", now)).toEqual({ kind: "revoke" });
  });
  test("an id that led to this generation cannot lead to the next", () => {
    expect(planRefresh(session, token(3), "r3", now)).toEqual({ kind: "reused_request_id" });
  });
  test("a session that is over refreshes nothing", () => {
    expect(planRefresh({ ...session, revoked: true }, token(3), "r4", now)).toEqual({ kind: "refuse" });
    expect(planRefresh({ ...session, expireTime: now }, token(3), "r4", now)).toEqual({ kind: "refuse" });
  });
});

test("an e-mail address is the same in capital letters", () => {
  expect(normalizeEmail(" Ada@Example.ORG ")).toBe("ada@example.org");
});
