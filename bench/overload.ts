/**
 * What is left of a service that is asked for more than it can do? Run: `npx tsx bench/overload.ts`, with `--fixed` for
 * the same under a limit that stays at its upper bound, and `--only model` or `--only inventory` for one of the two.
 *
 * One server process under mutual TLS, with its log on: first a model (half a millisecond of work and four of waiting;
 * each seventh call four times that), then the real inventory on a real PostgreSQL. What it can do is found by calling it
 * as fast as it answers; then calls come at even intervals, however it does, at half of that up to four times. Shoppers'
 * reads come as `gateway`, twenty reservations a second as `orders`, and twenty health checks a second, each from a
 * process of its own. A call is good when it is answered well within a second of when it was due. Takes a minute.
 *
 * The loads, PostgreSQL and whatever else runs share two processors with the server, so the last table tells what each
 * used, and sets load and goodput against what the server could have done with what was left to it: the most good calls
 * of a second of its CPU time that any row shows, in the time in which it did not wait for a core.
 */
import { type ChildProcess, fork } from "node:child_process";
import { loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { createTestAuthority, type TestAuthority } from "#testing/authority.ts";
import { removeFolder, temporaryFolder } from "#testing/folders.ts";
import { startEmbeddedPostgres } from "../cli/postgres/embedded.ts";
import { table } from "../e2e/support/figures.ts";
import {
  type CallKind,
  type Load,
  type LoadFigures,
  type LoadOrder,
  type LoadSetup,
  startLoad,
} from "./support/overload-load.ts";
import {
  type OverloadServer,
  type ServerFigures,
  type ServerSetup,
  startOverloadServer,
} from "./support/overload-server.ts";

const TIMES = [0.5, 1, 1.5, 2, 4];
const STEP = { seconds: 4, warmUpSeconds: 1 };
const CAPACITY_AT_ONCE = 24;
const OTHERS_PER_SECOND = 20;
const skus = Array.from({ length: 50 }, (_, number) => `SKU-${number}`);

// --- children ---------------------------------------------------------------------------------------------------------

type Order =
  | { readonly role: "server"; readonly setup: ServerSetup }
  | { readonly role: "load"; readonly setup: LoadSetup }
  | { readonly role: "run"; readonly order: LoadOrder }
  | { readonly role: "figures" };

function runChild(): void {
  let server: OverloadServer | undefined;
  let load: Load | undefined;
  const answer = async (order: Order): Promise<unknown> => {
    switch (order.role) {
      case "server":
        server = await startOverloadServer(order.setup);
        return server.port;
      case "load":
        load = await startLoad(order.setup);
        return undefined;
      case "run":
        return load?.run(order.order);
      case "figures":
        return server?.figures();
    }
  };
  process.on("message", async (order: Order) => process.send?.({ answer: await answer(order) }));
  process.once("disconnect", () => process.exit(0));
}

/** A process of its own, and what it is asked, one thing at a time. */
class Child {
  readonly #process: ChildProcess;

  constructor(file: string) {
    this.#process = fork(file, ["child"], { stdio: ["ignore", "ignore", "inherit", "ipc"], serialization: "advanced" });
  }

  ask(order: Order): Promise<unknown> {
    this.#process.send(order);
    return new Promise((resolve, reject) => {
      const onEnd = (): void => reject(new Error("a process of the measurement ended"));
      this.#process.once("exit", onEnd);
      this.#process.once("message", (reply: { readonly answer: unknown }) => {
        this.#process.off("exit", onEnd);
        resolve(reply.answer);
      });
    });
  }

  end(): void {
    if (this.#process.connected) this.#process.disconnect();
  }
}

// --- one table --------------------------------------------------------------------------------------------------------

interface Measured {
  readonly shoppers: LoadFigures;
  readonly services: LoadFigures;
  readonly health: LoadFigures;
  readonly server: ServerFigures;
  readonly cpuPercent: number;
  /** Of the time, in which the server wanted a core and others had them. */
  readonly waitedPercent: number;
}

async function measureAll(
  file: string,
  authority: TestAuthority,
  setup: Omit<ServerSetup, "certificates">,
): Promise<void> {
  const children: Child[] = [];
  const child = (): Child => {
    const one = new Child(file);
    children.push(one);
    return one;
  };
  try {
    const server = child();
    const certificates = await authority.issue("inventory");
    const port = Number(await server.ask({ role: "server", setup: { ...setup, certificates } }));
    const loadAs = async (workload: string, kind: CallKind): Promise<Child> => {
      const load = child();
      await load.ask({ role: "load", setup: { port, kind, skus, certificates: await authority.issue(workload) } });
      return load;
    };
    const loads = [
      await loadAs("gateway", "reads"),
      await loadAs("orders", "reservations"),
      await loadAs("gateway", "health"),
    ] as const;
    const closed = { perSecond: 0, atOnce: CAPACITY_AT_ONCE, seconds: 4, warmUpSeconds: 2 };
    // Holds because the load answers a run with its figures.
    const { goodPerSecond } = (await loads[0].ask({ role: "run", order: closed })) as LoadFigures;
    process.stdout.write(`can do ${goodPerSecond.toFixed(0)} calls a second, ${CAPACITY_AT_ONCE} at a time\n\n`);
    const rows: Measured[] = [];
    for (const times of TIMES) rows.push(await measure(server, loads, goodPerSecond * times));
    print(rows);
  } finally {
    for (const one of children) one.end();
  }
}

async function measure(server: Child, loads: readonly [Child, Child, Child], perSecond: number): Promise<Measured> {
  // Both hold because the server and the loads answer with their figures.
  const before = (await server.ask({ role: "figures" })) as ServerFigures;
  const startedAt = performance.now();
  const runs = loads.map((load, index) =>
    load.ask({ role: "run", order: { ...STEP, perSecond: index === 0 ? perSecond : OTHERS_PER_SECOND } }),
  );
  await new Promise((resolve) => setTimeout(resolve, STEP.seconds * 1_000));
  const after = (await server.ask({ role: "figures" })) as ServerFigures;
  const tookMs = performance.now() - startedAt;
  const cpuPercent = ((after.cpuMs - before.cpuMs) / tookMs) * 100;
  const waitedPercent = ((after.waitedMs - before.waitedMs) / tookMs) * 100;
  const [shoppers, services, health] = (await Promise.all(runs)) as [LoadFigures, LoadFigures, LoadFigures];
  return { shoppers, services, health, server: after, cpuPercent, waitedPercent };
}

function print(rows: readonly Measured[]): void {
  const peak = Math.max(...rows.map(({ shoppers }) => shoppers.goodPerSecond));
  const whole = (value: number): string => value.toFixed(0);
  const ms = ({ p50, p99 }: { readonly p50: number; readonly p99: number }): string =>
    `${p50.toFixed(1)} / ${p99.toFixed(1)}`;
  const header = [
    "load",
    "offered/s",
    "good/s",
    "of peak",
    "shed/s",
    "lost/s",
    "good ms p50 / p99",
    "shed ms",
    "shed, own ms",
  ];
  const cells = rows.map(({ shoppers, server }, index) => [
    `${TIMES[index]} ×`,
    whole(shoppers.offeredPerSecond),
    whole(shoppers.goodPerSecond),
    `${whole((100 * shoppers.goodPerSecond) / peak)} %`,
    whole(shoppers.shedPerSecond),
    whole(shoppers.lostPerSecond),
    ms(shoppers.goodMs),
    ms(shoppers.shedMs),
    `${server.shedOwnMs.p50.toFixed(2)} / ${server.shedOwnMs.p99.toFixed(2)}`,
  ]);
  process.stdout.write(`${table(header, cells)}\n\n`);
  const others = [
    "load",
    "services good/s",
    "shed or lost/s",
    "ms p50 / p99",
    "health good/s",
    "ms p50 / p99",
    "limit",
  ];
  const otherCells = rows.map(({ services, health, server }, index) => [
    `${TIMES[index]} ×`,
    services.goodPerSecond.toFixed(1),
    (services.shedPerSecond + services.lostPerSecond).toFixed(1),
    ms(services.goodMs),
    health.goodPerSecond.toFixed(1),
    ms(health.goodMs),
    whole(server.limit),
  ]);
  process.stdout.write(`${table(others, otherCells)}\n\n`);
  printShares(rows);
}

/** Who had the processors, and what the server made of its share. */
function printShares(rows: readonly Measured[]): void {
  const percent = (part: number): string => `${(100 * part).toFixed(0)} %`;
  const perCpuSecond = ({ shoppers, cpuPercent }: Measured): number => (100 * shoppers.goodPerSecond) / cpuPercent;
  const best = Math.max(...rows.map(perCpuSecond));
  const cells = rows.map((row, index) => {
    const { shoppers, services, health, cpuPercent, waitedPercent } = row;
    const couldDo = best * (1 - waitedPercent / 100);
    const loads = shoppers.cpuShare + services.cpuShare + health.cpuShare;
    return [
      `${TIMES[index]} ×`,
      percent(cpuPercent / 100),
      percent(waitedPercent / 100),
      percent(loads),
      perCpuSecond(row).toFixed(0),
      `${(shoppers.offeredPerSecond / couldDo).toFixed(1)} ×`,
      percent(shoppers.goodPerSecond / couldDo),
    ];
  });
  const header = [
    "load",
    "server's CPU",
    "it waited",
    "loads' CPU",
    "good per CPU s",
    "load of what it could",
    "good of it",
  ];
  process.stdout.write(`${table(header, cells)}\n\n`);
}

// --- the measurement --------------------------------------------------------------------------------------------------

/** Bundles this file as the services are, because the loader that runs it here adds costs of its own to every closure. */
async function bundle(): Promise<string> {
  const outfile = fileURLToPath(new URL("../dist/bench/overload.js", import.meta.url));
  const entryPoints = [fileURLToPath(import.meta.url)];
  await build({ entryPoints, outfile, bundle: true, packages: "external", platform: "node", format: "esm" });
  return outfile;
}

async function main(only: string | undefined, fixed: boolean): Promise<void> {
  const file = await bundle();
  const authority = await createTestAuthority();
  const common = { fixed, skus, stockedUnits: 1_000_000 };
  const sayLoad = (): boolean =>
    process.stdout.write(
      `load average ${loadavg()
        .map((one) => one.toFixed(1))
        .join(", ")}; `,
    );
  if (only !== "inventory") {
    process.stdout.write("## a model of a service\n\n");
    sayLoad();
    await measureAll(file, authority, { ...common, databaseUrl: undefined });
  }
  if (only === "model") return;
  const dataDir = await temporaryFolder();
  const postgres = await startEmbeddedPostgres({ dataDir, log: () => undefined });
  try {
    process.stdout.write("## inventory on PostgreSQL\n\n");
    sayLoad();
    await measureAll(file, authority, { ...common, databaseUrl: postgres.adminUrl });
  } finally {
    await postgres.stop();
    await removeFolder(dataDir);
  }
}

if (process.argv[2] === "child") {
  runChild();
} else {
  const options = { only: { type: "string" }, fixed: { type: "boolean", default: false } } as const;
  const { only, fixed } = parseArgs({ options }).values;
  await main(only, fixed);
}
