import { expect, it } from "vitest";
import { fakeClock } from "#testing/clock.ts";
import { keepOfferedTokens, MAX_OFFERED_TOKENS } from "./tokens.ts";

it("keeps a token for its time, and for the whole time again when it is offered again", () => {
  const clock = fakeClock();
  const tokens = keepOfferedTokens(1_000, clock);
  const held = tokens.held("ord_1");
  expect(held.use()).toBeUndefined();
  expect(tokens.offer("ord_1", "tok_visa")).toBe(true);
  clock.advance(999);
  expect(held.use()).toBe("tok_visa");
  expect(tokens.offer("ord_1", "tok_visa")).toBe(false);
  clock.advance(999);
  expect(held.use()).toBe("tok_visa");
  clock.advance(1);
  expect(held.use()).toBeUndefined();
  expect(tokens.orderIds()).toEqual([]);
});

it("forgets a token that is of no more use", () => {
  const tokens = keepOfferedTokens(1_000, fakeClock());
  tokens.offer("ord_1", "tok_visa");
  tokens.offer("ord_2", "tok_visa");
  tokens.forget("ord_1");
  expect(tokens.orderIds()).toEqual(["ord_2"]);
  expect(tokens.held("ord_1").use()).toBeUndefined();
});

it("keeps a bounded number, and more when the time of others is over", () => {
  const clock = fakeClock();
  const tokens = keepOfferedTokens(1_000, clock);
  for (let n = 0; n < MAX_OFFERED_TOKENS; n += 1) tokens.offer(`ord_${n}`, "tok_visa");
  expect(tokens.offer("ord_more", "tok_visa")).toBe(false);
  expect(tokens.held("ord_more").use()).toBeUndefined();
  expect(tokens.orderIds()).toHaveLength(MAX_OFFERED_TOKENS);
  clock.advance(1_000);
  expect(tokens.offer("ord_more", "tok_visa")).toBe(true);
  expect(tokens.orderIds()).toEqual(["ord_more"]);
});
