import { expect, test } from "vitest";
import { MAX_USED_TOKENS, type UsedToken, type UsedTokens, useToken } from "./domain-tokens.ts";

const now = new Date("2026-11-22T12:00:00Z");
const soon = new Date(now.getTime() + 60_000);

test("who holds one join key and uses many tokens keeps nobody else from joining", () => {
  const used = Array.from({ length: MAX_USED_TOKENS }, (_, number) => token("cart", number));
  expect(outcomeOf(used, token("cart", MAX_USED_TOKENS))).toBe("too_many");
  expect(outcomeOf(used, token("cart", 7))).toBe("good");
  expect(outcomeOf(used, token("orders", 0))).toBe("good");
  expect(outcomeOf(used, token("cart", MAX_USED_TOKENS), soon)).toBe("good");
});

function token(service: string, number: number): UsedToken {
  return { service, id: `join_${number}`, key: "aa", expireTime: soon };
}

function outcomeOf(used: UsedTokens, one: UsedToken, at = now): string {
  return useToken(used, one, at).result;
}
