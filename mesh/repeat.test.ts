import { pino } from "pino";
import { expect, test } from "vitest";
import { repeat } from "./repeat.ts";

const log = pino({ level: "silent" });
const never = 3_600_000;

/** Rounds that end when they are told to. */
function rounds() {
  const begun: { end: () => void; fail: (error: Error) => void }[] = [];
  let seen = () => {};
  return {
    round: () =>
      new Promise<void>((end, fail) => {
        begun.push({ end, fail });
        seen();
      }),
    /** The round of this number, once it has begun. */
    async at(number: number) {
      while (begun.length <= number) {
        await new Promise<void>((resolve) => {
          seen = resolve;
        });
      }
      const found = begun[number];
      return found ?? expect.fail(`no round ${number}`);
    },
    count: () => begun.length,
  };
}

test("a round can be had at once, and those asked for during one make one more", async () => {
  const { round, at, count } = rounds();
  const job = repeat({ name: "test", everyMs: never, log }, round);
  job.wake();
  const first = await at(0);
  job.wake();
  job.wake();
  expect(count()).toBe(1);
  first.end();
  (await at(1)).end();
  await job.close();
  expect(count()).toBe(2);
  job.wake();
  expect(count()).toBe(2);
});

test("a round that fails is followed by another", async () => {
  const { round, at, count } = rounds();
  const job = repeat({ name: "test", everyMs: 1, log }, round);
  (await at(0)).fail(new Error("planned"));
  (await at(1)).end();
  await job.close();
  expect(count()).toBeGreaterThan(1);
});
