import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newId } from "#mesh/ids.ts";
import type { PaymentGateway } from "../payment-gateway.ts";
import { simulatorBench, stripeBench } from "../testing/gateway-benches.ts";
import type { Bench } from "../testing/gateway-contract.ts";
import { contractCases } from "../testing/gateway-contract-cases.ts";

describe.each([
  ["the simulator", simulatorBench],
  ["Stripe", stripeBench],
] as const)("the adapter of %s", (_, start) => {
  let bench: Bench;

  beforeAll(async () => {
    bench = await start();
  });

  afterAll(() => bench.close());

  test.each(contractCases)("$name", ({ run }) => run(bench));
});

describe("an adapter that is broken on purpose", () => {
  const failing = async (breakIt: (gateway: PaymentGateway) => PaymentGateway): Promise<readonly string[]> => {
    const bench = await simulatorBench();
    const broken: Bench = { ...bench, gateway: breakIt(bench.gateway) };
    const failed: string[] = [];
    try {
      for (const { name, run } of contractCases) await run(broken).catch(() => failed.push(name));
    } finally {
      await bench.close();
    }
    return failed;
  };

  test("fails nothing before it is broken", async () => {
    expect(await failing((gateway) => gateway)).toEqual([]);
  });

  test("by dropping the idempotency key, fails wherever a key comes again", async () => {
    const fresh = <Request extends { readonly key: string }>(request: Request): Request => ({
      ...request,
      key: newId("key"),
    });
    const failed = await failing((gateway) => ({
      ...gateway,
      authorize: (request) => gateway.authorize(fresh(request)),
      capture: (request) => gateway.capture(fresh(request)),
      void: (request) => gateway.void(fresh(request)),
      refund: (request) => gateway.refund(fresh(request)),
    }));
    expect(failed).toEqual([
      "does a thing once under a key, and answers alike",
      "does a thing once under a key that comes many times at once",
      "does a thing once under a key that comes again after days",
      "goes by the first token that came with a key",
      "leaves the outcome open when the answer is lost, and tells it when asked for the key",
      "knows nothing of a key that never reached it, and does the thing when it comes again",
      "tells a decline, and the time of an authorization, when asked for the key",
    ]);
  });

  test("by taking a lost answer for a decline, fails where answers are lost", async () => {
    const failed = await failing((gateway) => ({
      ...gateway,
      authorize: async (request) => {
        const answer = await gateway.authorize(request);
        return answer.kind === "unknown" ? { kind: "declined", code: "card_declined" } : answer;
      },
    }));
    expect(failed).toContain("leaves the outcome open when the answer is lost, and tells it when asked for the key");
  });
});
