import { readFileSync, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { systemClock } from "#mesh/clock.ts";
import { OperatorError } from "../operator-error.ts";
import {
  type CapturedOutput,
  captureOutput,
  createWorkshop,
  isRunning,
  terminalTo,
  type Workshop,
  wellBehaved,
} from "../testing/programs.ts";
import { createFleet, type Fleet } from "./fleet.ts";
import type { Program } from "./process.ts";
import { defaultRestartPolicy, type RestartPolicy } from "./restart-policy.ts";
import type { ProcessStatus } from "./supervise.ts";

const quick: RestartPolicy = { ...defaultRestartPolicy, initialMs: 10, maxMs: 40, readyMs: 20_000 };

let workshop: Workshop;
let fleets: Fleet[] = [];

beforeAll(async () => {
  workshop = createWorkshop();
  await mkdir(join(workshop.dir, "logs"));
});

afterEach(async () => {
  await Promise.all(fleets.map((fleet) => fleet.stop({ graceMs: 0 })));
  fleets = [];
});

afterAll(() => workshop.close());

interface Started {
  readonly fleet: Fleet;
  readonly ready: Promise<void>;
  readonly output: CapturedOutput;
  /** Every pid that any process of the fleet had. */
  readonly pids: Set<number>;
  readonly changes: ProcessStatus[];
}

function start(programs: readonly Program[], policy: RestartPolicy = quick): Started {
  const output = captureOutput();
  const pids = new Set<number>();
  const changes: ProcessStatus[] = [];
  const fleet = createFleet({
    logsDir: join(workshop.dir, "logs"),
    terminal: terminalTo(output),
    policy,
    clock: systemClock,
    onChange: () => {
      changes.push(...fleet.processes());
      for (const { pid } of fleet.processes()) if (pid !== 0) pids.add(pid);
    },
  });
  fleets.push(fleet);
  const ready = fleet.start(programs);
  // Not every test waits for it.
  ready.catch(() => undefined);
  return { fleet, ready, output, pids, changes };
}

async function expectNoneLeft(pids: Iterable<number>): Promise<void> {
  for (const pid of pids) expect(await isRunning(pid)).toBe(false);
}

test("is ready when all are, and leaves nobody behind", async () => {
  const programs = ["one", "two", "three"].map((name) => workshop.program(name, wellBehaved));
  const { fleet, ready, output, pids } = start(programs);
  await ready;
  expect(fleet.processes().map(({ state, restarts }) => [state, restarts])).toEqual(programs.map(() => ["ready", 0]));
  expect(output.text()).toMatch(/two is ready on port 1 \(process \d+, \d+\.\d s\)/);
  await fleet.stop({ graceMs: 10_000 });
  expect(pids.size).toBe(3);
  await expectNoneLeft(pids);
});

test("tells which process failed before it was ready, with its last errors", async () => {
  const failing = workshop.program(
    "failing",
    `console.log(JSON.stringify({ level: 60, time: 1, msg: "SHOPMESH_JOIN is not set" })); process.exitCode = 1;`,
  );
  const { fleet, ready, pids } = start([workshop.program("fine", wellBehaved), failing]);
  const error = await ready.catch((reason: unknown) => reason);
  if (!(error instanceof OperatorError)) throw error;
  expect(error.message).toBe("failing exited with code 1 before it was ready");
  expect(error.details).toEqual(["ERROR SHOPMESH_JOIN is not set"]);
  await fleet.stop({ graceMs: 10_000 });
  await expectNoneLeft(pids);
});

test("starts a process that crashes again, and says so", async () => {
  const crashing = workshop.program(
    "crashing",
    `process.send({ type: "ready" }, () => process.kill(process.pid, "SIGKILL"));`,
  );
  const { fleet, ready, output, pids } = start([crashing]);
  await ready;
  await output.saw("crashing ended by signal SIGKILL; starting again in");
  await output.saw("crashing is ready again on port 1");
  await fleet.stop({ graceMs: 10_000 });
  expect(pids.size).toBeGreaterThan(1);
  await expectNoneLeft(pids);
});

test("stops a process that is waiting to be started again", async () => {
  const once = workshop.program("once", `process.send({ type: "ready" }, () => process.exit(9));`);
  const { fleet, ready, output, pids } = start([once], { ...quick, initialMs: 600_000, maxMs: 600_000 });
  await ready;
  await output.saw("once exited with code 9; starting again in 600.0 s");
  expect(fleet.processes()).toMatchObject([{ state: "waiting", pid: 0 }]);
  await fleet.stop({ graceMs: 10_000 });
  expect(fleet.processes()).toMatchObject([{ state: "stopped", pid: 0 }]);
  await expectNoneLeft(pids);
});

test("doubles the delay up to its bound", async () => {
  const crashing = workshop.program("doubling", `process.send({ type: "ready" }, () => process.exit(1));`);
  const { fleet, output } = start([crashing], { ...quick, initialMs: 100, maxMs: 300 });
  for (const delay of ["0.1 s", "0.2 s", "0.3 s"]) await output.saw(`starting again in ${delay}`);
  await fleet.stop({ graceMs: 10_000 });
  const delays = [...output.text().matchAll(/again in (\S+) s/g)].map((match) => match[1]);
  expect(delays.slice(0, 3)).toEqual(["0.1", "0.2", "0.3"]);
});

test("begins again with the first delay after a life that was long enough", async () => {
  const crashing = workshop.program("steady", `process.send({ type: "ready" }, () => process.exit(1));`);
  const { fleet, output } = start([crashing], { ...quick, initialMs: 100, maxMs: 10_000, steadyMs: 1 });
  await output.saw("starting again in 0.1 s", { times: 3 });
  await fleet.stop({ graceMs: 10_000 });
  expect(output.text()).not.toContain("starting again in 0.2 s");
});

test("kills a restarted process that does not get ready in time, and tries again", async () => {
  const marker = join(workshop.dir, "second-life");
  const hanging = workshop.program(
    "hanging",
    `import { existsSync, writeFileSync } from "node:fs";
     setInterval(() => {}, 1000);
     if (!existsSync(${JSON.stringify(marker)})) {
       writeFileSync(${JSON.stringify(marker)}, "");
       process.send({ type: "ready" }, () => process.exit(1));
     }`,
  );
  const { fleet, ready, output } = start([hanging], { ...quick, readyMs: 2000 });
  await ready;
  await output.saw("hanging ended by signal SIGKILL before it was ready; starting again in");
  await fleet.stop({ graceMs: 10_000 });
});

test("stops tier after tier", async () => {
  const inOrder = (name: string, tier: number): Program =>
    workshop.program(
      name,
      `process.on("SIGTERM", () => { process.stdout.write("${name} asked\\n", () => setTimeout(() => process.exit(0), 50)); });
       process.send({ type: "ready" });
       setInterval(() => {}, 1000);`,
      { tier },
    );
  const { fleet, ready, output, pids } = start([inOrder("callee", 1), inOrder("caller", 0)]);
  await ready;
  await fleet.stop({ graceMs: 10_000 });
  const asked = [...output.text().matchAll(/(\w+) asked/g)].map((match) => match[1]);
  expect(asked).toEqual(["caller", "callee"]);
  await expectNoneLeft(pids);
});

test("ends one and leaves the others, and its name is free again", async () => {
  const { fleet, ready, output, pids } = start(["stays", "goes"].map((name) => workshop.program(name, wellBehaved)));
  await ready;
  await fleet.remove("goes", { graceMs: 10_000 });
  expect(fleet.processes()).toMatchObject([{ name: "stays", state: "ready" }]);
  await fleet.start([workshop.program("goes", wellBehaved)]);
  expect(fleet.processes().map(({ name }) => name)).toEqual(["goes", "stays"]);
  await fleet.stop({ graceMs: 10_000 });
  expect(output.text().match(/goes is ready on/g)).toHaveLength(2);
  expect(pids.size).toBe(3);
  await expectNoneLeft(pids);
});

test("makes an environment anew for each start", async () => {
  let starts = 0;
  const counted = workshop.program(
    "counted",
    `console.log("start number " + process.env.START); process.send({ type: "ready" }, () => process.exit(1));`,
  );
  const env = async () => ({ ...(await counted.env()), START: String(++starts) });
  const { fleet, output } = start([{ ...counted, env }]);
  for (const number of [1, 2, 3]) await output.saw(`start number ${number}`);
  await fleet.stop({ graceMs: 10_000 });
});

test("tells that a process keeps crashing, and how it ended", async () => {
  const crashing = workshop.program("broken", `process.send({ type: "ready" }, () => process.exit(7));`);
  const { fleet, output, pids } = start([crashing], { ...quick, crashes: 3, crashingMs: 600_000 });
  await output.saw("broken exited with code 7 and keeps crashing (3 times now); starting again in 300.0 s");
  expect(fleet.processes()).toMatchObject([{ state: "crashing", pid: 0, lastExit: "exited with code 7", restarts: 2 }]);
  await fleet.stop({ graceMs: 10_000 });
  await expectNoneLeft(pids);
});

test("tries again from the first start on when one insists", async () => {
  const marker = join(workshop.dir, "tried");
  const late = workshop.program(
    "late-comer",
    `import { existsSync, writeFileSync } from "node:fs";
     if (existsSync(${JSON.stringify(marker)})) { ${wellBehaved} } else { writeFileSync(${JSON.stringify(marker)}, ""); }`,
  );
  const { fleet, output } = start([]);
  await fleet.start([late], { insist: true });
  await output.saw("late-comer exited with code 0 before it was ready; starting again");
  await output.saw("late-comer is ready again");
});

test("starts nothing once it is being stopped", async () => {
  const { fleet, ready, pids } = start([workshop.program("last", wellBehaved)]);
  await ready;
  const stopped = fleet.stop({ graceMs: 10_000 });
  await expect(fleet.start([workshop.program("late", wellBehaved)])).rejects.toThrow("the shop is being stopped");
  await stopped;
  expect(pids.size).toBe(1);
});

test("stops while some are not ready yet", async () => {
  const { fleet, ready, pids } = start([workshop.program("never", "setInterval(() => {}, 1000);")]);
  await expect.poll(() => pids.size).toBe(1);
  await fleet.stop({ graceMs: 10_000 });
  await expect(ready).rejects.toThrow(/never ended by signal SIGTERM before it was ready/);
  await expectNoneLeft(pids);
});

test("survives a flood of output, and keeps it within bounds", async () => {
  const flooding = workshop.program(
    "flooding",
    `const line = JSON.stringify({ level: 30, time: 1, msg: "x".repeat(1000) }) + "\\n";
     const chunk = line.repeat(64);
     let left = 400;
     const more = () => {
       if (left-- === 0) { process.stdout.write("y".repeat(200_000) + "\\nlast words\\n", () => process.send({ type: "ready" })); return; }
       process.stdout.write(chunk, more);
     };
     process.on("SIGTERM", () => process.exit(0));
     more();`,
  );
  const { fleet, ready, output } = start([flooding]);
  await ready;
  await output.saw("last words");
  await fleet.stop({ graceMs: 10_000 });
  const path = join(workshop.dir, "logs", "flooding.log");
  expect(readFileSync(path, "utf8")).toMatch(/y … \(\d+ more bytes\)\nlast words\n$/);
  expect(statSync(path).size).toBeLessThan(10 * 1024 * 1024);
  expect(statSync(`${path}.1`).size).toBeLessThanOrEqual(10 * 1024 * 1024);
  expect(output.text().length).toBeLessThan(5000);
});

test("starts again one that is killed because it hangs, and says why", async () => {
  const { fleet, ready, output } = start([workshop.program("stuck", wellBehaved)]);
  await ready;
  const [before] = fleet.processes();
  process.kill(before?.pid ?? 0, "SIGSTOP");
  fleet.kill("stuck", "has not answered for 15 s");
  await output.saw("stuck is ready again");
  expect(output.text()).toContain("stuck has not answered for 15 s, and was killed; starting again in");
  const [after] = fleet.processes();
  expect(after).toMatchObject({ state: "ready", restarts: 1, lastExit: "has not answered for 15 s, and was killed" });
  expect(after?.pid).not.toBe(before?.pid);
  fleet.kill("nobody", "is not there");
});
