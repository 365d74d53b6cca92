import { describe, expect, test } from "vitest";
import {
  type Change,
  createRegistry,
  type Instance,
  LEASE_MS,
  MAX_INSTANCES,
  MAX_INSTANCES_PER_SERVICE,
  type Moment,
  RETURN_MS,
  type Registry,
  type Report,
  type ReportedState,
  type Session,
} from "./domain.ts";

describe("a lease", () => {
  test("ends the instance that has not reported in time", () => {
    const world = started();
    const session = world.register(cart(1));
    world.wait(LEASE_MS - 1);
    expect(world.names()).toEqual(["cart-1"]);
    const change = world.wait(1);
    expect(change.lapsed).toEqual([session]);
    expect([...change.services]).toEqual(["cart"]);
    expect(world.registry.list()).toEqual([]);
  });

  test("is extended by each report", () => {
    const world = started();
    const session = world.register(cart(1));
    for (let second = 0; second < 60; second += 1) {
      world.wait(1_000);
      expect(world.report(session, "SERVING")?.services.size).toBe(0);
    }
    expect(world.names()).toEqual(["cart-1"]);
  });

  test("cannot be extended once it has ended", () => {
    const world = started();
    const session = world.register(cart(1));
    world.wait(LEASE_MS);
    expect(world.report(session, "SERVING")).toBe(undefined);
    expect(world.names()).toEqual([]);
  });
});

describe("a later registration under the same name", () => {
  test("takes the place of the earlier one, whose reports and end then change nothing", () => {
    const world = started();
    const first = world.register(cart(1, { port: 4001 }));
    const second = world.registered(cart(1, { port: 4002 }));
    expect(second.replaced).toEqual([first]);
    expect([...second.services]).toEqual(["cart"]);
    expect(world.report(first, "DRAINING")).toBe(undefined);
    expect(world.leave(first).services.size).toBe(0);
    expect(world.registry.endpointsOf("cart")).toMatchObject([{ port: 4002 }]);
  });

  test("tells nobody anything when it is found where the earlier one was", () => {
    const world = started();
    world.register(cart(1));
    expect(world.registered(cart(1)).services.size).toBe(0);
  });

  test("leaves a process at what it last reported, when it is the same process over another stream", () => {
    const world = started();
    const startTime = new Date(7);
    const first = world.register(cart(1, { startTime }));
    world.report(first, "DRAINING");
    expect(world.registered(cart(1, { startTime })).services.size).toBe(0);
    expect(world.registry.list()).toMatchObject([{ state: "DRAINING" }]);
    expect([...world.registered(cart(1, { startTime: new Date(8) })).services]).toEqual(["cart"]);
    expect(world.names()).toEqual(["cart-1"]);
  });

  test("is another instance when it is of another service", () => {
    const world = started();
    world.register(cart(1));
    const theirs = world.registered({ ...cart(1), service: "orders" });
    expect(theirs.replaced).toEqual([]);
    expect(world.names()).toEqual(["cart-1"]);
  });
});

describe("who is handed out", () => {
  test("takes calls, by its own report", () => {
    const world = started();
    const session = world.register(cart(1));
    expect([...(world.report(session, "NOT_SERVING")?.services ?? [])]).toEqual(["cart"]);
    expect(world.names()).toEqual([]);
    expect([...(world.report(session, "SERVING")?.services ?? [])]).toEqual(["cart"]);
    expect(world.names()).toEqual(["cart-1"]);
  });

  test("does not drain, whatever a late report says", () => {
    const world = started();
    const session = world.register(cart(1));
    world.report(session, "DRAINING");
    world.report(session, "SERVING");
    expect(world.names()).toEqual([]);
    expect(world.registry.versionsOf("cart").size).toBe(0);
    expect(world.registry.list()).toHaveLength(1);
  });

  test("was there before a restart, for as long as it may take to come back", () => {
    const world = started([cart(1), cart(2)]);
    expect(world.registry.list().map(({ state }) => state)).toEqual(["UNCONFIRMED", "UNCONFIRMED"]);
    expect(world.registered(cart(1)).services.size).toBe(0);
    const [back] = world.registry.list();
    expect(back).toMatchObject({ instance: { name: "cart-1" }, state: "SERVING" });
    for (let ms = 0; ms < RETURN_MS - 1_000; ms += 1_000) {
      world.wait(1_000);
      expect(world.names()).toContain("cart-2");
      world.register(cart(1));
    }
    expect([...world.wait(1_000).services]).toEqual(["cart"]);
    expect(world.names()).toEqual(["cart-1"]);
  });
});

describe("a registry that may itself be what is wrong", () => {
  test("counts no standstill of its own against anybody", () => {
    const world = started();
    const session = world.register(cart(1));
    world.wait(60_000);
    expect(world.names()).toEqual(["cart-1"]);
    world.wait(LEASE_MS - 1);
    expect(world.report(session, "SERVING")).not.toBe(undefined);
  });

  test("takes streams that broke during a standstill for late, and not for gone", () => {
    const world = started();
    const session = world.register(cart(1));
    world.pass(60_000);
    expect(world.leave(session).services.size).toBe(0);
    expect(world.registry.list()).toMatchObject([{ state: "UNCONFIRMED" }]);
    for (let ms = 0; ms < RETURN_MS - 1_000; ms += 1_000) world.wait(1_000);
    expect(world.names()).toEqual(["cart-1"]);
    world.wait(1_000);
    expect(world.names()).toEqual([]);
  });

  test("keeps most of a mesh that falls silent at once, and drops a few that do", () => {
    const world = started();
    const sessions = [1, 2, 3, 4, 5, 6].map((number) => world.register(cart(number)));
    world.wait(1_000);
    for (const session of sessions.slice(0, 3)) world.report(session, "SERVING");
    for (let ms = 1_000; ms < LEASE_MS; ms += 1_000) world.wait(1_000);
    expect(world.names()).toEqual(["cart-1", "cart-2", "cart-3"]);
    world.wait(1_000);
    expect(world.names()).toEqual(["cart-1", "cart-2", "cart-3"]);
    expect(world.registry.list().map(({ state }) => state)).toEqual(Array(3).fill("UNCONFIRMED"));
  });
});

describe("instances of one service that end at once", () => {
  const others = ["catalog", "gateway", "inventory", "orders", "payments"];
  const meshOf = (many: number) => {
    const world = started();
    const crowd = Array.from({ length: many }, (_, number) => world.register(cart(number)));
    const rest = others.map((service) => world.register(cart(1, { service, name: `${service}-1` })));
    const silentLease = (speaking: readonly Session[]): void => {
      for (let ms = 0; ms < LEASE_MS; ms += 1_000) {
        for (const session of speaking) world.report(session, "SERVING");
        world.wait(1_000);
      }
    };
    return { world, crowd, rest, silentLease };
  };

  test("do not keep the dead of others, however many they are", () => {
    const { world, rest, silentLease } = meshOf(100);
    silentLease(rest.slice(1));
    expect(world.registry.endpointsOf("catalog")).toEqual([]);
    expect(world.registry.endpointsOf("cart")).toEqual([]);
  });

  test("do not have the others dropped that are cut off, when they go on to report", () => {
    const { world, crowd, silentLease } = meshOf(100);
    silentLease(crowd);
    for (const service of others) expect(world.registry.endpointsOf(service)).toHaveLength(1);
  });
});

test("there is room for a thousand, and the one that comes again needs none", () => {
  const world = started();
  for (let number = 0; number < MAX_INSTANCES; number += 1) world.register(oneOfTwo(number));
  const one = cart(MAX_INSTANCES, { service: "orders" });
  expect(world.registry.register(one, world.now())).toEqual({ ok: false, error: "full" });
  const session = world.register(oneOfTwo(7));
  world.leave(session);
  world.register(one);
});

test("one service fills half of it, and leaves room for the others", () => {
  const world = started();
  for (let number = 0; number < MAX_INSTANCES_PER_SERVICE; number += 1) world.register(cart(number));
  const one = cart(MAX_INSTANCES_PER_SERVICE);
  expect(world.registry.register(one, world.now())).toEqual({ ok: false, error: "full" });
  world.register(cart(7));
  world.register({ ...one, service: "orders" });
});

function oneOfTwo(number: number): Instance {
  return cart(number, { service: number % 2 === 0 ? "cart" : "inventory" });
}

function cart(number: number, overrides: Partial<Instance> = {}): Instance {
  const instance = { name: `cart-${number}`, service: "cart", version: "v1", host: "127.0.0.1", port: 4001 };
  return { ...instance, startTime: undefined, ...overrides };
}

interface World {
  readonly registry: Registry;
  now(): Moment;
  /** Lets time pass in which nobody looks after the registry. */
  pass(ms: number): void;
  /** Lets time pass, and looks after it then. */
  wait(ms: number): Change;
  registered(instance: Instance): Change & { readonly session: Session };
  register(instance: Instance): Session;
  report(session: Session, state: ReportedState): Change | undefined;
  leave(session: Session): Change;
  names(): readonly string[];
}

function started(known: readonly Instance[] = []): World {
  let ms = 0;
  const now = (): Moment => ({ ms, time: new Date(ms) });
  const registry = createRegistry(known, now());
  const world: World = {
    registry,
    now,
    pass(passed) {
      ms += passed;
    },
    wait(passed) {
      // As often as control does, but for a standstill.
      const step = passed > LEASE_MS ? passed : 500;
      for (let left = passed; left > step; left -= step) {
        ms += step;
        registry.expire(now());
      }
      ms += passed % step === 0 ? step : passed % step;
      return registry.expire(now());
    },
    registered(instance) {
      const registered = registry.register(instance, now());
      if (!registered.ok) throw new Error(registered.error);
      return registered.value;
    },
    register: (instance) => world.registered(instance).session,
    report: (session, state) => registry.report(session, { state, stats: undefined } satisfies Report, now()),
    leave: (session) => registry.leave(session, now()),
    names: () => registry.endpointsOf("cart").map(({ name }) => name),
  };
  return world;
}
