import { afterEach, describe, expect, test } from "vitest";
import type { TrafficFault } from "#gen/mesh/v1/discovery_service.ts";
import { TrafficService } from "#gen/mesh/v1/traffic_service.contract.ts";
import type { CreateTrafficFaultRequest, SetTrafficSplitRequest, TrafficRule } from "#gen/mesh/v1/traffic_service.ts";
import { systemClock } from "#mesh/clock.ts";
import { failures } from "#mesh/contract/errors.ts";
import type { TestMesh } from "#testing/mesh.ts";
import { anInstance, type FakeAnswers, runIn, startFakeShop } from "../testing/fake-shop.ts";

const fail = failures(TrafficService);

let mesh: TestMesh | undefined;

afterEach(async () => {
  await mesh?.close();
  mesh = undefined;
});

async function shop(traffic: FakeAnswers["traffic"]): Promise<TestMesh> {
  const listInstances = async () => ({ instances: [anInstance("cart"), anInstance("orders")] });
  mesh = await startFakeShop({ registry: { listInstances }, traffic });
  return mesh;
}

function aFault(faultId: string, changes: Partial<TrafficFault> = {}): TrafficRule {
  const fault = { faultId, callers: [], methods: [], percent: 100, delay: undefined, statusCode: 14, ...changes };
  const effect = { $case: "fault" as const, value: fault };
  return { service: "cart", effect, createTime: new Date(0), expireTime: undefined };
}

function aSplit(expireTime?: Date): TrafficRule {
  const weights = [
    { version: "v1", percent: 90 },
    { version: "v2", percent: 10 },
  ];
  const value = { weights, headerMatches: [{ header: "x-a", value: "b", version: "v2" }] };
  return { service: "cart", effect: { $case: "split", value }, createTime: new Date(0), expireTime };
}

/** Ends in an hour and a half, but for a second: for most of a minute from now on, 1 h 29 min are left. */
const inAWhile = (): Date => new Date(systemClock.now().getTime() + 5_399_000);

describe("fault", () => {
  test("is injected as asked, and says how to end it", async () => {
    const asked: CreateTrafficFaultRequest[] = [];
    const fake = await shop({
      createTrafficFault: async (request) => {
        asked.push(request);
        return { rule: { ...aFault("flt_1", { ...request.fault, faultId: "flt_1" }), expireTime: inAWhile() } };
      },
    });
    const ran = await runIn(fake, [
      ...["fault", "cart", "--delay", "200ms", "--status", "unavailable", "--percent", "10"],
      ...["--caller", "orders", "--method", "GetCart", "--for", "5m"],
    ]);
    expect(ran).toEqual({
      code: 0,
      text:
        "flt_1: of calls to cart, 10 % of calls by orders of GetCart leave 200 ms later and fail with UNAVAILABLE, " +
        "for 1 h 29 min more\nend it with shopmesh fault --clear flt_1\n",
      errors: "",
    });
    expect(asked).toMatchObject([
      {
        service: "cart",
        fault: {
          callers: ["orders"],
          methods: ["/shop.cart.v1.CartService/GetCart"],
          percent: 10,
          delay: { seconds: 0n, nanos: 200_000_000 },
          statusCode: 14,
        },
        timeToLive: { seconds: 300n, nanos: 0 },
      },
    ]);
  });

  test("is ended by its id", async () => {
    const ended: string[] = [];
    const fake = await shop({
      listTrafficRules: async () => ({ rules: [aSplit(), aFault("flt_1"), aFault("flt_2")] }),
      deleteTrafficFault: async ({ faultId }) => {
        ended.push(faultId);
        return {};
      },
    });
    expect(await runIn(fake, ["fault", "--clear", "flt_2"])).toMatchObject({ code: 0, text: "flt_2 is ended\n" });
    expect(ended).toEqual(["flt_2"]);
  });

  test("is ended with all others", async () => {
    const ended: string[] = [];
    const fake = await shop({
      listTrafficRules: async () => ({ rules: [aSplit(), aFault("flt_1"), aFault("flt_2")] }),
      deleteTrafficFault: async ({ faultId }) => {
        ended.push(faultId);
        return {};
      },
    });
    expect(await runIn(fake, ["fault", "--clear", "--all"])).toMatchObject({ code: 0 });
    expect(ended).toEqual(["flt_1", "flt_2"]);
  });

  test("says which there are when there is none of that id", async () => {
    const fake = await shop({ listTrafficRules: async () => ({ rules: [aFault("flt_1")] }) });
    const ran = await runIn(fake, ["fault", "--clear", "flt_9"]);
    expect(ran).toMatchObject({
      code: 1,
      errors: "shopmesh: there is no fault flt_9 (any more); there are flt_1\n",
    });
  });

  test("is not injected into a service that nobody knows", async () => {
    const { code, errors } = await runIn(await shop({}), ["fault", "kart", "--status", "UNAVAILABLE"]);
    expect(code).toBe(2);
    expect(errors).toContain('there is no service "kart"; did you mean cart?');
  });

  test.each([
    [["fault"], "usage: shopmesh fault"],
    [["fault", "cart"], "a fault wants --delay, or --status, or both"],
    [["fault", "cart", "--delay", "61s"], "--delay can be a minute at most"],
    [["fault", "cart", "--delay", "soon"], "--delay must be a span such as 200ms"],
    [["fault", "cart", "--status", "UNAVAILBLE"], 'there is no status code "UNAVAILBLE"; did you mean UNAVAILABLE?'],
    [["fault", "cart", "--status", "OK"], 'there is no status code "OK"'],
    [["fault", "cart", "--status", "ABORTED", "--percent", "0"], "a share must be a whole number of per cent from 1"],
    [
      ["fault", "cart", "--delay", "1s", "--method", "GetKart"],
      'there is no method of cart "GetKart"; did you mean GetCart?',
    ],
    [["fault", "--clear"], "usage: shopmesh fault"],
    [["fault", "flt_1", "--clear", "--all"], "usage: shopmesh fault"],
    [["fault", "flt_1", "--clear", "--delay", "1s"], "usage: shopmesh fault"],
  ])("refuses %j", async (args, message) => {
    const { code, errors } = await runIn(undefined, args);
    expect({ code, errors }).toMatchObject({ code: 2, errors: expect.stringContaining(`shopmesh: ${message}`) });
  });
});

describe("split", () => {
  test("is made of shares and headers, for a while", async () => {
    const asked: SetTrafficSplitRequest[] = [];
    const fake = await shop({
      setTrafficSplit: async (request) => {
        asked.push(request);
        return { rule: aSplit(inAWhile()) };
      },
    });
    const ran = await runIn(fake, ["split", "cart", "v1=90", "v2=10", "--header", "x-a=b:v2", "--for", "1h"]);
    expect(ran).toEqual({
      code: 0,
      text: "calls to cart: 90 % to v1, 10 % to v2; with x-a: b to v2, for 1 h 29 min more\n",
      errors: "",
    });
    expect(asked).toMatchObject([
      {
        service: "cart",
        split: {
          weights: [
            { version: "v1", percent: 90 },
            { version: "v2", percent: 10 },
          ],
          headerMatches: [{ header: "x-a", value: "b", version: "v2" }],
        },
        timeToLive: { seconds: 3_600n, nanos: 0 },
      },
    ]);
  });

  test("says what is wrong with it in the words of the control plane", async () => {
    const fake = await shop({
      setTrafficSplit: async () => {
        throw fail("VERSION_UNKNOWN", "no instance of cart has version v9", { version: "v9" });
      },
    });
    expect(await runIn(fake, ["split", "cart", "v1=50", "v9=50"])).toMatchObject({
      code: 1,
      errors:
        "shopmesh: calls to cart can't be split: no instance of cart has version v9 " +
        "(FAILED_PRECONDITION VERSION_UNKNOWN); shopmesh status shows the versions that run\n",
    });
  });

  test("can be ended while the service has no instance", async () => {
    const ended: string[] = [];
    const rule = { ...aSplit(), service: "payments" };
    const fake = await shop({
      listTrafficRules: async () => ({ rules: [rule] }),
      clearTrafficSplit: async ({ service }) => {
        ended.push(service);
        return {};
      },
    });
    expect(await runIn(fake, ["split", "payments", "--clear"])).toMatchObject({ code: 0 });
    expect(ended).toEqual(["payments"]);
  });

  test.each([
    [["split"], "usage: shopmesh split"],
    [["split", "cart"], "the shares of cart's versions must sum to 100, not to 0"],
    [["split", "cart", "v1=90", "v2=5"], "the shares of cart's versions must sum to 100, not to 95"],
    [["split", "cart", "v1"], '"v1" must look like v2=10'],
    [["split", "cart", "v1=100", "--header", "x-a=b"], "--header must look like x-canary=1:v2"],
    [["split", "cart", "v1=100", "--clear"], "usage: shopmesh split"],
  ])("refuses %j", async (args, message) => {
    const { code, errors } = await runIn(undefined, args);
    expect({ code, errors }).toMatchObject({ code: 2, errors: expect.stringContaining(`shopmesh: ${message}`) });
  });
});

test("rules are shown with what is left of their life", async () => {
  const delayed = aFault("flt_1", { delay: { seconds: 0n, nanos: 200_000_000 }, statusCode: 0, percent: 10 });
  const fake = await shop({ listTrafficRules: async () => ({ rules: [aSplit(inAWhile()), delayed] }) });
  expect((await runIn(fake, ["rules"])).text).toBe(
    [
      "SERVICE  RULE   WHAT IT DOES                               FOR HOW LONG",
      "cart     split  90 % to v1, 10 % to v2; with x-a: b to v2  for 1 h 29 min more",
      "cart     flt_1  10 % of calls leave 200 ms later           until it is ended",
      "",
    ].join("\n"),
  );
});

test("no rules are no table", async () => {
  const fake = await shop({ listTrafficRules: async () => ({ rules: [] }) });
  expect(await runIn(fake, ["rules"])).toMatchObject({ code: 0, text: "no traffic rules are in force\n" });
});
