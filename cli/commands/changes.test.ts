import { afterEach, describe, expect, test } from "vitest";
import { SupervisorService } from "#gen/mesh/supervisor/v1/supervisor_service.contract.ts";
import {
  type RolloutServiceRequest,
  type RolloutServiceResponse,
  RolloutStep,
  type ScaleServiceRequest,
  type StartCanaryRequest,
} from "#gen/mesh/supervisor/v1/supervisor_service.ts";
import { failures } from "#mesh/contract/errors.ts";
import type { TestMesh } from "#testing/mesh.ts";
import { aProcess, type FakeAnswers, runIn, runningProcesses, startFakeShop } from "../testing/fake-shop.ts";

const fail = failures(SupervisorService);
const listProcesses = runningProcesses(aProcess("cart"), aProcess("orders"), aProcess("control"));

let mesh: TestMesh | undefined;

afterEach(async () => {
  await mesh?.close();
  mesh = undefined;
});

async function shop(supervisor: FakeAnswers["supervisor"]): Promise<TestMesh> {
  mesh = await startFakeShop({ supervisor: { listProcesses, ...supervisor } });
  return mesh;
}

describe("scale", () => {
  test("asks for each service in turn, and tells what runs then", async () => {
    const asked: ScaleServiceRequest[] = [];
    const fake = await shop({
      scaleService: async (request) => {
        asked.push(request);
        const names = Array.from({ length: request.instances }, (_, index) => `${request.service}-${index + 1}`);
        return { processes: names.map((name) => aProcess(name)) };
      },
    });
    expect(await runIn(fake, ["scale", "cart=2", "orders=1"])).toEqual({
      code: 0,
      text: "cart: 2 instances, cart-1 (process 4711), cart-2 (process 4711)\norders: 1 instance, orders-1 (process 4711)\n",
      errors: "",
    });
    expect(asked).toMatchObject([
      { service: "cart", instances: 2 },
      { service: "orders", instances: 1 },
    ]);
    expect(new Set(asked.map(({ requestId }) => requestId)).size).toBe(2);
  });

  test("changes nothing when one of the services is not there, and says which was meant", async () => {
    const { code, errors } = await runIn(await shop({}), ["scale", "cart=2", "oders=2"]);
    expect(code).toBe(2);
    expect(errors).toBe(
      'shopmesh: there is no service "oders"; did you mean orders? there are cart, control, orders\nshopmesh help says more\n',
    );
  });

  test.each([
    [["scale"], "usage: shopmesh scale <service>=<count> …"],
    [["scale", "cart"], '"cart" must look like cart=3'],
    [["scale", "cart=0"], 'cart must be a number from 1 to 8, not "0"'],
    [["scale", "cart=9"], 'cart must be a number from 1 to 8, not "9"'],
    [["scale", "cart=2=3"], '"cart=2=3" must look like cart=3'],
    [["scale", "Cart=2"], '"Cart" cannot be the name of a service: lower-case letters, digits and - alone'],
    [["scale", "cart=2", "cart=3"], "cart is there twice"],
    [["scale", "cart=2", "--percent", "3"], "shopmesh scale has no option --percent"],
    [["scale", "cart=2", "--frob"], "Unknown option '--frob'"],
  ])("refuses %j", async (args, message) => {
    const { code, errors } = await runIn(undefined, args);
    expect(code).toBe(2);
    expect(errors.startsWith(`shopmesh: ${message}`)).toBe(true);
  });

  test("says in one line why it was not done, and what to do", async () => {
    const fake = await shop({
      scaleService: async () => {
        throw fail("CHANGE_UNDER_WAY", "another change of cart is under way", { service: "cart" });
      },
    });
    expect(await runIn(fake, ["scale", "cart=2"])).toMatchObject({
      code: 1,
      errors:
        "shopmesh: cart can't be scaled: another change of cart is under way (ABORTED CHANGE_UNDER_WAY); " +
        "wait until that is over; shopmesh status shows how it stands\n",
    });
  });

  test("ends at once when it is interrupted, and says that the shop goes on", async () => {
    const stop = new AbortController();
    const interrupt = () => ({ signal: stop.signal, close: () => undefined });
    const fake = await shop({
      scaleService: async (_request, call) => {
        stop.abort();
        await new Promise((resolve) => call.signal.addEventListener("abort", resolve, { once: true }));
        return { processes: [] };
      },
    });
    const ran = await runIn(fake, ["scale", "cart=2"], { interrupt });
    expect(ran).toMatchObject({ code: 130, text: "" });
    expect(ran.errors).toContain("scaling goes on in the shop without you");
  });
});

test("restarts one process as well as a service", async () => {
  const asked: string[] = [];
  const fake = await shop({
    restartService: async ({ name }) => {
      asked.push(name);
      return { processes: [aProcess(name)] };
    },
  });
  const ran = await runIn(fake, ["restart", "control"]);
  expect(ran).toEqual({ code: 0, text: "control has been restarted: control (process 4711)\n", errors: "" });
  expect(asked).toEqual(["control"]);
});

test("restarts nothing that is not there", async () => {
  const { code, errors } = await runIn(await shop({}), ["restart", "contro"]);
  expect(code).toBe(2);
  expect(errors).toContain('there is no service or process "contro"; did you mean control?');
});

describe("rollout", () => {
  const step = (kind: RolloutStep, changes: Partial<RolloutServiceResponse> = {}): RolloutServiceResponse => ({
    ...{ step: kind, instance: "cart-2", version: "v2", cause: "" },
    ...changes,
  });

  async function rollOut(steps: readonly RolloutServiceResponse[], ...args: readonly string[]) {
    const asked: RolloutServiceRequest[] = [];
    const fake = await shop({
      async *rolloutService(request) {
        asked.push(request);
        yield* steps;
      },
    });
    return { ...(await runIn(fake, ["rollout", "cart", ...args])), asked };
  }

  test("tells each step, and exits with 0 when all instances are new", async () => {
    const ran = await rollOut(
      [
        step(RolloutStep.STARTING),
        step(RolloutStep.TAKES_CALLS),
        step(RolloutStep.DRAINED, { instance: "cart", version: "v1" }),
        step(RolloutStep.FINISHED, { instance: "" }),
      ],
      ...["--version", "v2", "--from", "/builds/two"],
    );
    expect(ran).toMatchObject({
      code: 0,
      text: [
        "cart-2 is being started as v2",
        "cart-2 takes calls as v2",
        "cart of v1 has finished its calls and ended",
        "cart is v2 now",
        "",
      ].join("\n"),
      asked: [{ service: "cart", release: { version: "v2", programsDir: "/builds/two" } }],
    });
  });

  test("exits with 1 when it went back, and says why", async () => {
    const ran = await rollOut([
      step(RolloutStep.STARTING),
      step(RolloutStep.FAILED, { cause: "exited with code 1" }),
      step(RolloutStep.WENT_BACK, { instance: "", version: "v1" }),
    ]);
    expect(ran.code).toBe(1);
    expect(ran.text).toContain("cart-2 of v2 failed: exited with code 1\ncart went back to v1\n");
    expect(ran.asked).toMatchObject([{ release: { version: "", programsDir: "" } }]);
  });

  test("does not take a stream that ends half-way for a success", async () => {
    const ran = await rollOut([step(RolloutStep.STARTING)]);
    expect(ran.code).toBe(1);
    expect(ran.errors).toContain("the rollout of cart ended without a word");
  });
});

describe("canary", () => {
  test("starts one instance for a share of the calls and those with a header", async () => {
    const asked: StartCanaryRequest[] = [];
    const fake = await shop({
      startCanary: async (request) => {
        asked.push(request);
        const weights = [
          { version: "v1", percent: 90 },
          { version: "v2", percent: 10 },
        ];
        const headerMatches = [{ header: "x-canary", value: "1", version: "v2" }];
        return { process: aProcess("cart-2", { version: "v2", canary: true }), split: { weights, headerMatches } };
      },
    });
    const ran = await runIn(fake, ["canary", "cart", "--percent", "10", "--header", "x-canary=1"]);
    expect(ran).toEqual({
      code: 0,
      text: [
        "cart-2 takes calls as v2",
        "calls to cart: 90 % to v1, 10 % to v2; with x-canary: 1 to v2",
        "bring it in with shopmesh canary cart --promote, or end it with --end",
        "",
      ].join("\n"),
      errors: "",
    });
    expect(asked).toMatchObject([{ service: "cart", percent: 10, headers: [{ header: "x-canary", value: "1" }] }]);
  });

  test("is promoted by rolling out its own version", async () => {
    const asked: RolloutServiceRequest[] = [];
    const canary = aProcess("cart-2", { version: "v2", canary: true });
    const fake = await shop({
      listProcesses: runningProcesses(aProcess("cart"), canary),
      async *rolloutService(request) {
        asked.push(request);
        yield { step: RolloutStep.FINISHED, instance: "", version: "v2", cause: "" };
      },
    });
    expect(await runIn(fake, ["canary", "cart", "--promote"])).toMatchObject({ code: 0, text: "cart is v2 now\n" });
    expect(asked).toMatchObject([{ release: { version: "v2" } }]);
  });

  test("cannot be promoted when there is none", async () => {
    const ran = await runIn(await shop({}), ["canary", "cart", "--promote"]);
    expect(ran).toMatchObject({ code: 1, errors: "shopmesh: cart has no canary to promote\n" });
  });

  test("is ended", async () => {
    const fake = await shop({ endCanary: async () => ({ processes: [aProcess("cart")] }) });
    expect(await runIn(fake, ["canary", "cart", "--end"])).toMatchObject({
      code: 0,
      text: "cart has no canary any more\n",
    });
  });

  test.each([
    [["canary", "cart"], "usage: shopmesh canary"],
    [["canary", "cart", "--promote", "--end"], "usage: shopmesh canary"],
    [["canary", "cart", "--promote", "--percent", "3"], "usage: shopmesh canary"],
    [["canary", "cart", "--version", "v2"], "a canary wants --percent, or --header, or both"],
    [["canary", "cart", "--percent", "101"], "a share must be a whole number of per cent from 0 to 100"],
    [["canary", "cart", "--header", "cookie=1"], "--header must look like x-canary=1"],
  ])("refuses %j", async (args, message) => {
    const { code, errors } = await runIn(undefined, args);
    expect({ code, errors }).toMatchObject({ code: 2, errors: expect.stringContaining(`shopmesh: ${message}`) });
  });
});

test("says where to look when an instance failed", async () => {
  const fake = await shop({
    scaleService: async () => {
      throw fail("INSTANCE_FAILED", "cart-2 exited with code 1", { instance: "cart-2" });
    },
  });
  const { code, errors } = await runIn(fake, ["scale", "cart=2"]);
  expect(code).toBe(1);
  expect(errors).toContain("(FAILED_PRECONDITION INSTANCE_FAILED); shopmesh logs cart-2 says why\n");
});

test("says in one line that the supervisor can't be asked", async () => {
  mesh = await startFakeShop({});
  const { code, errors } = await runIn(mesh, ["scale", "cart=2"]);
  expect(code).toBe(1);
  expect(errors).toMatch(/^shopmesh: the processes can't be listed: .* \(UNAVAILABLE SERVICE_UNAVAILABLE\); .*\n$/);
});
