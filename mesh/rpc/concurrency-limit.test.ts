import { describe, expect, test } from "vitest";
import { adaptiveAdmission, type CallAdmission } from "./admission.ts";
import { type LimitBounds, nextLimit } from "./concurrency-limit.ts";
import { createLoopModel, type LoopModel, randomOf } from "./loop-model.fixture.ts";

const bounds = { min: 32, start: 400, max: 1_000 };

describe("the limit", () => {
  test("grows while it is used and nothing waits, by less the more waits, and no further than its bound", () => {
    const free = nextLimit(400, { pressure: 0, peak: 400 }, bounds);
    expect(free).toBe(420);
    expect(nextLimit(400, { pressure: 0.5, peak: 400 }, bounds)).toBe(410);
    expect(nextLimit(995, { pressure: 0, peak: 995 }, bounds)).toBe(1_000);
  });

  test("stays when it is not used, but what an overload took comes back", () => {
    expect(nextLimit(500, { pressure: 0, peak: 3 }, bounds)).toBe(500);
    expect(nextLimit(100, { pressure: 0, peak: 3 }, bounds)).toBe(110);
  });

  test("shrinks from what really ran, by what was too much, at most by half, and not below its bound", () => {
    expect(nextLimit(1_000, { pressure: 1.25, peak: 500 }, bounds)).toBe(400);
    expect(nextLimit(1_000, { pressure: 30, peak: 500 }, bounds)).toBe(250);
    expect(nextLimit(40, { pressure: 30, peak: 40 }, bounds)).toBe(32);
  });
});

/** A service on the model: what a call costs the loop, and what it waits for. */
interface Work {
  readonly loopMs: number;
  /** Away from this process: at another service, or at a database that has room. */
  readonly awayMs?: number;
  /** On a connection of the pool, as slow as the database is when it gets there. */
  readonly queryMs?: () => number;
}

const SHED_MS = 0.06;

function startService(given: LimitBounds = bounds) {
  const loop = createLoopModel(10);
  const admission = adaptiveAdmission({ ...given, queues: [loop.pool], ticker: loop.ticker });
  const random = randomOf(1);
  const counts = { answered: 0, shed: 0, latenciesMs: [] as number[] };
  const arrive = ({ loopMs, awayMs = 0, queryMs }: Work, places = admission.shoppers): number => {
    if (!places.tryEnter()) {
      counts.shed += 1;
      return SHED_MS;
    }
    const startedMs = loop.nowMs();
    const answer = (): number => {
      places.leave();
      counts.answered += 1;
      counts.latenciesMs.push(loop.nowMs() - startedMs);
      return loopMs / 2;
    };
    const spread = 0.5 + random();
    if (queryMs === undefined) loop.ready(awayMs * spread, answer);
    else loop.query(() => queryMs() * spread, answer);
    return loopMs / 2;
  };
  /** Calls come by chance, `perSecond` on average, for `seconds`. Returns what became of them in that time. */
  const load = (perSecond: number, seconds: number, work: Work) => {
    const before = { ...counts };
    counts.latenciesMs = [];
    const endMs = loop.nowMs() + seconds * 1_000;
    for (let atMs = loop.nowMs(); ; ) {
      atMs -= (Math.log(1 - random()) * 1_000) / perSecond;
      if (atMs >= endMs) break;
      loop.run(atMs);
      loop.ready(0, () => arrive(work));
    }
    loop.run(endMs);
    return {
      answeredPerSecond: (counts.answered - before.answered) / seconds,
      shed: counts.shed - before.shed,
      worstMs: Math.max(0, ...counts.latenciesMs),
    };
  };
  return { loop, admission, arrive, load };
}

/** Lets a service run with nothing to do. */
function rest({ loop }: { readonly loop: LoopModel }, ms: number): void {
  loop.run(loop.nowMs() + ms);
}

/** Fills all places of one kind. Returns how many there were. */
function fill({ shoppers, services }: CallAdmission, kind: "shoppers" | "services"): number {
  let places = 0;
  while ((kind === "shoppers" ? shoppers : services).tryEnter()) places += 1;
  return places;
}

describe("a service under load", () => {
  const work = { loopMs: 1, awayMs: 5 }; // 1,000 a second

  test("sheds nothing below its capacity", () => {
    expect(startService().load(700, 10, work)).toMatchObject({ shed: 0 });
  });

  test.each([
    ["the event loop", work, 1_000],
    ["a pool of ten connections", { loopMs: 0.2, queryMs: () => 10 }, 1_000],
  ])("gives at twice and at three times its capacity most of what it can, and in time: %s", (_, busy, capacity) => {
    for (const times of [2, 3]) {
      const service = startService();
      service.load(capacity * times, 3, busy);
      const { answeredPerSecond, worstMs } = service.load(capacity * times, 5, busy);
      expect(answeredPerSecond).toBeGreaterThan(0.8 * capacity);
      expect(worstMs).toBeLessThan(250);
    }
  });

  test("without a limit that adapts the same load makes everybody late", () => {
    const service = startService({ min: 1_000, start: 1_000, max: 1_000 });
    service.load(2_000, 3, work);
    expect(service.load(2_000, 2, work).worstMs).toBeGreaterThan(500);
  });

  test("finds room again after an overload, and within seconds", () => {
    const service = startService();
    service.load(3_000, 5, work);
    expect(service.admission.limit()).toBeLessThan(100);
    const after = service.load(700, 5, work);
    expect(after.shed).toBeLessThan(100);
    expect(service.admission.limit()).toBeGreaterThan(300);
    expect(service.load(700, 5, work)).toMatchObject({ shed: 0 });
  });

  test("lets many run that are long by nature, whatever waits for them elsewhere", () => {
    const service = startService();
    const slow = { loopMs: 0.2, awayMs: 1_000 };
    service.load(600, 4, slow); // 600 at a time, of which the first 320 find room at once
    expect(service.load(600, 5, slow)).toMatchObject({ shed: 0 });
    expect(service.admission.limit()).toBeGreaterThan(750);
  });

  test("takes a slow method for no sign that it is busy", () => {
    const service = startService();
    for (let i = 0; i < 200; i += 1) service.arrive({ loopMs: 0.2, awayMs: 60_000 });
    expect(service.load(500, 10, work)).toMatchObject({ shed: 0 });
  });

  test("forgets a single stall", () => {
    const service = startService();
    service.load(300, 2, work);
    const before = service.admission.limit();
    service.loop.ready(0, () => 400); // a pause of the collector, say
    const after = service.load(300, 2, work);
    expect(after.shed).toBe(0);
    expect(service.admission.limit()).toBeGreaterThanOrEqual(before / 2);
  });

  test("lets fewer in while its database stalls, and all again afterwards", () => {
    const service = startService();
    let databaseMs = 4;
    const statement = { loopMs: 0.2, queryMs: () => databaseMs };
    service.load(1_000, 2, statement);
    databaseMs = 1_000;
    expect(service.load(1_000, 3, statement).shed).toBeGreaterThan(2_000);
    expect(service.admission.limit()).toBe(bounds.min);
    databaseMs = 4;
    service.load(1_000, 4, statement);
    expect(service.load(1_000, 3, statement)).toMatchObject({ shed: 0 });
  });

  test("does not come down at low traffic, and measures only while there is any", () => {
    const service = startService();
    service.load(2, 60, work);
    expect(service.admission.limit()).toBe(bounds.start);
    rest(service, 1_000);
    expect(service.loop.timers()).toBe(0);
  });
});

describe("the places", () => {
  test("shoppers leave a fifth of them to the calls between services, which may have all", () => {
    const { admission } = startService();
    expect(fill(admission, "shoppers")).toBe(320);
    expect(admission.shoppers.hasRoom()).toBe(false);
    expect(admission.services.hasRoom()).toBe(true);
    expect(fill(admission, "services")).toBe(80);
    admission.services.leave();
    expect(admission.shoppers.hasRoom()).toBe(false);
    expect(fill(startService().admission, "services")).toBe(400);
  });

  test("calls between services find room while shoppers ask for four times what there is", () => {
    const service = startService();
    let refused = 0;
    for (let i = 0; i < 500; i += 1) {
      service.loop.ready(i * 10, () => {
        if (service.admission.services.hasRoom()) return service.arrive({ loopMs: 1 }, service.admission.services);
        refused += 1;
        return SHED_MS;
      });
    }
    service.load(4_000, 5, { loopMs: 1, awayMs: 5 });
    expect(refused).toBe(0);
  });

  test("those who came together are let in as far as there is room for all of them", () => {
    const service = startService({ min: 10, start: 10, max: 10 });
    const { shoppers, services } = service.admission;
    const expected = Array.from({ length: 8 }, () => shoppers.expect());
    expect([shoppers.hasRoom(), services.hasRoom()]).toEqual([false, true]);
    expected.push(services.expect(), services.expect());
    expect(services.hasRoom()).toBe(false);
    const [first] = expected;
    if (first !== undefined) shoppers.arrived(first);
    expect(shoppers.hasRoom()).toBe(true);
    expect(shoppers.tryEnter()).toBe(true);
    expect(shoppers.hasRoom()).toBe(false);
  });

  test("whoever comes and sends no request holds none", () => {
    const service = startService({ min: 10, start: 10, max: 10 });
    const { shoppers } = service.admission;
    const late = Array.from({ length: 8 }, () => shoppers.expect());
    expect(shoppers.hasRoom()).toBe(false);
    rest(service, 5);
    for (let i = 0; i < 7; i += 1) expect(shoppers.tryEnter()).toBe(true);
    expect(shoppers.hasRoom()).toBe(true);
    for (const one of late) shoppers.arrived(one);
    expect(shoppers.tryEnter()).toBe(true);
    expect(shoppers.hasRoom()).toBe(false);
  });

  test("there is always one, even for shoppers", () => {
    const { ticker } = createLoopModel(1);
    const admission = adaptiveAdmission({ ...bounds, max: 1, queues: [], ticker });
    expect(fill(admission, "shoppers")).toBe(1);
    expect(admission.limit()).toBe(1);
  });
});
