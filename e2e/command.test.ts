import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { CatalogServiceService } from "#gen/shop/catalog/v1/catalog_service.ts";
import { findFreePorts } from "../cli/checks/ports.ts";
import { dataFolder } from "../cli/data/folder.ts";
import { readRunState } from "../cli/data/run-file.ts";
import { type CapturedOutput, captureOutput, isRunning } from "../cli/testing/programs.ts";
import * as stranger from "./support/foreign-service.ts";
import { buildPrograms, newPlace, projectDir, type ShopPlace } from "./support/setup.ts";

let place: ShopPlace;
let commands: ChildProcess[] = [];

beforeAll(async () => {
  await buildPrograms();
  place = await newPlace();
}, 60_000);

afterEach(async () => {
  for (const command of commands) {
    if (command.exitCode !== null || command.signalCode !== null) continue;
    const exited = once(command, "exit");
    command.kill("SIGTERM");
    await exited;
  }
  commands = [];
}, 60_000);

afterAll(() => place?.remove());

interface Command {
  readonly process: ChildProcess;
  readonly output: CapturedOutput;
  /** Settles once it has said that; rejects, with all that it said, when it ends before. */
  saw(text: string): Promise<void>;
  /** The exit code, or the signal. */
  readonly ended: Promise<number | string>;
}

function shopmesh(args: readonly string[], env: Readonly<Record<string, string>> = {}): Command {
  const child = spawn(process.execPath, ["dist/cli/main.js", ...args], {
    cwd: projectDir,
    env: { PATH: process.env.PATH, SHOPMESH_PORT: String(place.port), SHOPMESH_DATA: place.dataDir, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  commands.push(child);
  const output = captureOutput();
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => output.write(String(chunk)));
  const ended = once(child, "close").then(([code, signal]) => code ?? signal);
  const saw = (text: string): Promise<void> => {
    const over = ended.then((code) => {
      throw new Error(`it ended with ${code} before it said "${text}":\n${output.text()}`);
    });
    return Promise.race([output.saw(text), over]);
  };
  return { process: child, output, saw, ended };
}

/** Everything that a run consists of. */
async function pidsOfRun(): Promise<readonly number[]> {
  const state = await readRunState(dataFolder(place.dataDir));
  return [...(state?.processes.map(({ pid }) => pid) ?? []), state?.pid ?? 0];
}

test("refuses what it does not know, with how to find out", async () => {
  const command = shopmesh(["frobnicate"]);
  expect(await command.ended).toBe(2);
  expect(command.output.text()).toBe('shopmesh: there is no command "frobnicate"\nshopmesh help says more\n');
});

test("says in one line that the port is in use", async () => {
  const [port = 0] = await findFreePorts(1);
  const server = createServer().listen(port, "127.0.0.1");
  await once(server, "listening");
  const command = shopmesh(["up"], { SHOPMESH_PORT: String(port) });
  expect(await command.ended).toBe(1);
  expect(command.output.text()).toBe(`shopmesh: port ${port} is in use; choose another with SHOPMESH_PORT=…\n`);
  server.close();
});

test("says in one line that the data folder can't be written", async () => {
  const file = join(dirname(place.dataDir), "file");
  await writeFile(file, "");
  const command = shopmesh(["up"], { SHOPMESH_DATA: join(file, "data") });
  expect(await command.ended).toBe(1);
  expect(command.output.text()).toMatch(/^shopmesh: data folder \S+ can't be written \(.*\); choose another .*\n$/);
});

test("says in one line that PostgreSQL can't be reached, without its password", async () => {
  const [port = 0] = await findFreePorts(1);
  const url = `postgres://admin:s3cret@localhost:${port}/postgres`;
  const command = shopmesh(["up"], { SHOPMESH_POSTGRES_URL: url });
  expect(await command.ended).toBe(1);
  expect(command.output.text()).toBe(
    `shopmesh: PostgreSQL at localhost:${port} can't be reached: connection refused\n`,
  );
});

test("says that no shop runs", async () => {
  const command = shopmesh(["status"]);
  expect(await command.ended).toBe(1);
  expect(command.output.text()).toBe(`no shop runs in ${place.dataDir}\n`);
});

test("runs, tells its status, refuses a second shop in its folder, and leaves nobody behind at Ctrl-C", async () => {
  const up = shopmesh(["up"]);
  await up.saw("Ctrl-C stops everything");
  expect(up.output.text()).toContain(`Shopmesh is ready at 127.0.0.1:${place.port} after`);

  const status = shopmesh(["status", "--json"]);
  expect(await status.ended).toBe(0);
  const report = JSON.parse(status.output.text());
  expect(report).toMatchObject({ running: true, well: true, address: `127.0.0.1:${place.port}` });
  for (const { memoryBytes, pid } of report.processes) {
    expect(pid).toBeGreaterThan(0);
    expect(memoryBytes).toBeGreaterThan(0);
  }

  await operate();

  const books = shopmesh(["reconcile"]);
  expect(await books.ended).toBe(0);
  expect(books.output.text()).toMatch(/^books compared with simulator's\n0 repaired, 0 open, 0 under way\n/);

  const second = shopmesh(["up"]);
  expect(await second.ended).toBe(1);
  expect(second.output.text()).toMatch(
    /^shopmesh: a shop already runs in \S+ \(process \d+\); stop it first, or use another folder .*\n$/,
  );

  const pids = await pidsOfRun();
  expect(pids.length).toBeGreaterThanOrEqual(10);
  for (const secret of await secretsOf(place)) expect(await argumentsOf(pids)).not.toContain(secret);
  up.process.kill("SIGINT");
  expect(await up.ended).toBe(0);
  for (const pid of pids) expect(await isRunning(pid)).toBe(false);
}, 120_000);

/** What an operator does to a shop that runs: a few commands with the real thing behind them. */
async function operate(): Promise<void> {
  const said = async (...args: readonly string[]): Promise<string> => {
    const command = shopmesh(args);
    expect({ code: await command.ended, text: command.output.text() }).toMatchObject({ code: 0 });
    return command.output.text();
  };
  expect(await said("scale", "cart=2")).toMatch(
    /^cart: 2 instances, cart-\d+ \(process \d+\), cart-\d+ \(process \d+\)\n$/,
  );
  const injected = await said("fault", "cart", "--status", "UNAVAILABLE", "--caller", "orders", "--for", "2h");
  const id = /^flt_\w+/.exec(injected)?.[0] ?? "";
  expect(await said("rules")).toMatch(
    new RegExp(`\ncart +${id} +100 % of calls by orders fail with UNAVAILABLE +for 1 h 59 min`),
  );
  const report = JSON.parse(await said("status", "--json"));
  expect(report).toMatchObject({ well: true, rules: [{ service: "cart", faultId: id }] });
  const carts = report.processes.filter(({ service }: { readonly service: string }) => service === "cart");
  expect(carts).toMatchObject([{ registered: "serving" }, { registered: "serving" }]);
  expect(await said("fault", "--clear", id)).toBe(`${id} is ended\n`);
  expect(await said("scale", "cart=1")).toMatch(/^cart: 1 instance, cart-\d+ /);
  expect(await said("logs", "cart", "-n", "1")).toMatch(/^cart-\d+ /);
  expect(await said("rotate-authority")).toContain("authority 2 ");
  expect(await said("rotate-signing-key")).toMatch(/^key_\w+ signs from .* until .*\nkey_\w+ signs from /);
  await joinFromOutside((await said("join-key", "cart")).trim());
}

/** What docs/joining.md says a service in another language would do. */
async function joinFromOutside(joinKey: string): Promise<void> {
  const folder = dataFolder(place.dataDir);
  const { joinAddress, processes } = present(await readRunState(folder));
  const control = present(processes.find(({ name }) => name === "control"));
  const trustFile = join(folder.controlDir, "trust.pem");
  const doors = { joinAddress, controlAddress: `127.0.0.1:${control.port}`, trustFile };
  const first = await stranger.join("cart", joinKey, doors);
  const instance = { name: "cart-99", service: "cart", version: "v1", host: "127.0.0.1", port: 1 };
  const leave = await stranger.register(first, { ...instance, startTime: undefined }, doors);
  const identity = await stranger.renew(first, doors);
  const catalog = await stranger.discover(identity, "catalog", doors);
  const client = stranger.connectAs(identity, "catalog", catalog);
  const { categories } = await stranger.call(client, CatalogServiceService.listCategories, {
    pageSize: 10,
    pageToken: "",
  });
  expect(categories.length).toBeGreaterThan(0);
  await leave();
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("something is missing");
  return value;
}

test("can be stopped before it is ready", async () => {
  const up = shopmesh(["up"]);
  await up.saw("is ready on port");
  const pids = await pidsOfRun();
  expect(pids.length).toBeGreaterThan(1);
  const begin = performance.now();
  up.process.kill("SIGTERM");
  expect({ code: await up.ended, text: up.output.text() }).toMatchObject({ code: 130 });
  expect(performance.now() - begin).toBeLessThan(15_000);
  for (const pid of pids) expect(await isRunning(pid)).toBe(false);
}, 120_000);

test("starts a service that was killed again, on the same port", async () => {
  const up = shopmesh(["up"]);
  await up.saw("Ctrl-C stops everything");
  const state = await readRunState(dataFolder(place.dataDir));
  const cart = state?.processes.find(({ name }) => name === "cart-1");
  if (cart === undefined) throw new Error("no cart-1 in the run file");
  process.kill(cart.pid, "SIGKILL");
  await up.saw("cart-1 ended by signal SIGKILL; starting again in 0.5 s");
  await up.saw(`cart-1 is ready again on port ${cart.port}`);
  up.process.kill("SIGINT");
  expect(await up.ended).toBe(0);
}, 120_000);

test("starts again after it was killed itself, and everything ends then that it had started", async () => {
  const killed = shopmesh(["up"]);
  await killed.saw("Ctrl-C stops everything");
  const pids = await pidsOfRun();
  killed.process.kill("SIGKILL");
  await killed.ended;
  const up = shopmesh(["up"]);
  await up.saw("Ctrl-C stops everything");
  for (const pid of pids) expect(await isRunning(pid)).toBe(false);
  up.process.kill("SIGINT");
  expect(await up.ended).toBe(0);
}, 120_000);

async function secretsOf({ dataDir }: ShopPlace): Promise<readonly string[]> {
  const folder = dataFolder(dataDir);
  const text = `${await readFile(folder.secretsFile, "utf8")}${await readFile(folder.runFile, "utf8")}`;
  return text.match(/[0-9a-f]{64}/g) ?? [];
}

async function argumentsOf(pids: readonly number[]): Promise<string> {
  const ps = spawn("ps", ["-ww", "-o", "args=", "-p", pids.join(",")], { stdio: ["ignore", "pipe", "inherit"] });
  const output = captureOutput();
  ps.stdout.on("data", (chunk) => output.write(String(chunk)));
  await once(ps, "close");
  return output.text();
}
