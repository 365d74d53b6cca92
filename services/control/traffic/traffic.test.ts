import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { TrafficFault, TrafficSplit } from "#gen/mesh/v1/discovery_service.ts";
import { TrafficService } from "#gen/mesh/v1/traffic_service.contract.ts";
import { isId } from "#mesh/ids.ts";
import { removeFolder, temporaryFolder } from "#testing/folders.ts";
import { startControl, type TestControl } from "../testing/control.ts";
import { MAX_FAULTS } from "./domain.ts";

let control: TestControl;

const start = async (options: { readonly dataDir?: string } = {}): Promise<TestControl> => {
  const started = await startControl(options);
  await started.register({ name: "cart-1", version: "v1" });
  await started.register({ name: "cart-2", version: "v2" });
  return started;
};

beforeAll(async () => {
  control = await start();
});
afterEach(async () => {
  const requestId = () => crypto.randomUUID();
  await traffic().clearTrafficSplit({ requestId: requestId(), service: "cart" }, call());
  for (const { effect } of await rules()) {
    if (effect?.$case !== "fault") continue;
    await traffic().deleteTrafficFault({ requestId: requestId(), faultId: effect.value.faultId }, call());
  }
});
afterAll(() => control.close());

describe("a split", () => {
  test("is told to whoever watches the service, and so is its end", async () => {
    const watch = await control.watch(["cart"]);
    await setSplit(split({ v1: 95, v2: 5 }));
    expect((await watch.next()).clusters).toMatchObject([
      {
        split: {
          weights: [
            { version: "v1", percent: 95 },
            { version: "v2", percent: 5 },
          ],
        },
      },
    ]);
    await traffic().clearTrafficSplit({ requestId: crypto.randomUUID(), service: "cart" }, call());
    expect((await watch.next()).clusters).toMatchObject([{ split: undefined }]);
  });

  test.each([
    ["whose shares do not sum to 100", split({ v1: 95, v2: 4 }), "SPLIT_MALFORMED"],
    ["that names a version twice", twice(), "SPLIT_MALFORMED"],
    ["to a version that nobody has", split({ v1: 50, v3: 50 }), "VERSION_UNKNOWN"],
    ["with a header for a version that nobody has", headed("v3"), "VERSION_UNKNOWN"],
  ])("%s is refused", async (_, given, reason) => {
    await expect(setSplit(given)).rejects.toMatchObject({ reason });
    expect(await rules()).toEqual([]);
  });

  test("of a service that nobody has heard of is refused", async () => {
    await expect(setSplit(split({ v1: 100 }), { service: "orders" })).rejects.toMatchObject({
      code: "NOT_FOUND",
      reason: "SERVICE_UNKNOWN",
    });
  });

  test("may give nothing to a version that nobody has yet", async () => {
    await setSplit(split({ v1: 100, v3: 0 }));
    expect(await rules()).toHaveLength(1);
  });

  test("stays when its versions vanish: callers then go by what there is", async () => {
    const canary = await control.register({ name: "cart-3", version: "v3" });
    const watch = await control.watch(["cart"]);
    await setSplit(split({ v1: 50, v3: 50 }));
    await watch.next();
    canary.leave();
    expect((await watch.next()).clusters).toMatchObject([{ split: { weights: [{}, {}] }, endpoints: [{}, {}] }]);
  });
});

describe("a rule, in time and over restarts,", () => {
  let shared: TestControl;
  let dataDir: string;

  beforeEach(async () => {
    shared = control;
    dataDir = await temporaryFolder();
    control = await start({ dataDir });
  });
  afterEach(async () => {
    await control.close();
    control = shared;
    await removeFolder(dataDir);
  });

  const restart = async (): Promise<void> => {
    await control.close();
    control = await startControl({ dataDir });
  };

  test("ends by itself when it was made for a time", async () => {
    const watch = await control.watch(["cart"]);
    await setSplit(split({ v1: 100 }), { timeToLive: { seconds: 60n, nanos: 0 } });
    await watch.next();
    await control.advance(59_999);
    expect(await rules()).toHaveLength(1);
    await control.advance(1);
    expect((await watch.next()).clusters).toMatchObject([{ split: undefined }]);
    expect(await rules()).toEqual([]);
  });

  test("outlives the control plane, and still ends when it was to", async () => {
    const id = await createFault({ percent: 10, statusCode: 14 }, { seconds: 60n, nanos: 0 });
    await setSplit(split({ v1: 100 }));
    await restart();
    expect(await rules()).toMatchObject([
      { service: "cart", effect: { $case: "split" } },
      { service: "cart", effect: { $case: "fault", value: { faultId: id, percent: 10, statusCode: 14 } } },
    ]);
    await control.advance(61_000);
    expect(await rules()).toMatchObject([{ effect: { $case: "split" } }]);
  });

  test("is kept, and so is another one that was made at once", async () => {
    await Promise.all([setSplit(split({ v1: 100 })), createFault({ percent: 1, statusCode: 14 })]);
    await restart();
    expect(await rules()).toHaveLength(2);
  });
});

describe("a fault", () => {
  test("has an id, and goes by it", async () => {
    const watch = await control.watch(["cart"]);
    const id = await createFault({ percent: 50, delay: { seconds: 0n, nanos: 1_500_000 } });
    expect(isId("flt", id)).toBe(true);
    const told = await watch.next();
    expect(told.clusters).toMatchObject([{ faults: [{ faultId: id, delay: { seconds: 0n, nanos: 1_500_000 } }] }]);
    await traffic().deleteTrafficFault({ requestId: crypto.randomUUID(), faultId: id }, call());
    expect((await watch.next()).clusters).toMatchObject([{ faults: [] }]);
  });

  test("that neither delays nor fails is refused", async () => {
    await expect(createFault({ percent: 50 })).rejects.toMatchObject({ reason: "FAULT_MALFORMED" });
  });

  test("is refused when there are too many, and let in when one has ended", async () => {
    const ids: string[] = [];
    for (let count = 0; count < MAX_FAULTS; count += 1) ids.push(await createFault({ percent: 1, statusCode: 14 }));
    await expect(createFault({ percent: 1, statusCode: 14 })).rejects.toMatchObject({ reason: "TOO_MANY_RULES" });
    await traffic().deleteTrafficFault({ requestId: crypto.randomUUID(), faultId: ids[0] ?? "" }, call());
    await createFault({ percent: 1, statusCode: 14 });
  });
});

test("nobody makes rules who is not named", async () => {
  const theirs = control.mesh.mesh("cart").client(TrafficService);
  const denied = { code: "PERMISSION_DENIED", reason: "NOT_ALLOWED" };
  const request = { requestId: "r", service: "cart", split: split({ v1: 100 }), timeToLive: undefined };
  await expect(theirs.setTrafficSplit(request, control.call("cart"))).rejects.toMatchObject(denied);
  const supervisor = control.mesh.mesh("supervisor").client(TrafficService);
  const fault = { requestId: "r", service: "cart", fault: faultOf({ statusCode: 14 }), timeToLive: undefined };
  await expect(supervisor.createTrafficFault(fault, control.call("supervisor"))).rejects.toMatchObject(denied);
  await supervisor.setTrafficSplit(request, control.call("supervisor"));
});

const traffic = () => control.mesh.mesh("operator").client(TrafficService);
const call = () => control.call("operator");
const rules = async () => (await traffic().listTrafficRules({}, call())).rules;

interface SplitOptions {
  readonly service?: string;
  readonly timeToLive?: { readonly seconds: bigint; readonly nanos: number };
}

async function setSplit(given: TrafficSplit, { service = "cart", timeToLive }: SplitOptions = {}): Promise<void> {
  await traffic().setTrafficSplit({ requestId: crypto.randomUUID(), service, split: given, timeToLive }, call());
}

async function createFault(given: Partial<TrafficFault>, timeToLive?: SplitOptions["timeToLive"]): Promise<string> {
  const request = { requestId: crypto.randomUUID(), service: "cart", fault: faultOf(given), timeToLive };
  const { rule } = await traffic().createTrafficFault(request, call());
  return rule?.effect?.$case === "fault" ? rule.effect.value.faultId : "";
}

function faultOf(given: Partial<TrafficFault>): TrafficFault {
  return { faultId: "", callers: [], methods: [], percent: 1, delay: undefined, statusCode: 0, ...given };
}

function split(shares: Readonly<Record<string, number>>): TrafficSplit {
  return { headerMatches: [], weights: Object.entries(shares).map(([version, percent]) => ({ version, percent })) };
}

function twice(): TrafficSplit {
  return { headerMatches: [], weights: [50, 50].map((percent) => ({ version: "v1", percent })) };
}

function headed(version: string): TrafficSplit {
  return { ...split({ v1: 100 }), headerMatches: [{ header: "x-canary", value: "1", version }] };
}
