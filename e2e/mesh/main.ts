/**
 * Does anybody notice when a part of the shop is scaled, updated, or killed, or when the control plane is away?
 *
 *     npm run e2e:mesh -- [--services cart,orders] [--shoppers 3] [--hold 4] [--away 60] [--only scaled] [--keep]
 *
 * Starts a shop of its own, in a temporary folder and on free ports, and tries a canary and a fault. Then shoppers come
 * steadily, `--shoppers` a second, half of them with clients that send again what the contracts call idempotent, half with
 * clients that do not, while every service, the gateway too, is scaled from 1 to 3 and back, rolled out anew, and one of
 * two killed with SIGKILL; broken builds are rolled out; and control is killed, and paused. Prints a table of calls,
 * failures and latencies, and audits the books. Exits with 1 when a call failed that may not, or the books are not right.
 * `--only` keeps the phases whose names it is in.
 */
import { loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { watchStopSignals } from "../../cli/stop-signals.ts";
import { describeFindings, holds } from "../audit/audit.ts";
import { buildPrograms, newPlace } from "../support/setup.ts";
import { type BrokenPrograms, makeBrokenPrograms } from "./broken-programs.ts";
import {
  controlAway,
  controlKilled,
  controlPaused,
  killed,
  type Phase,
  rolledOut,
  scaled,
  wentBack,
} from "./phases.ts";
import { type MeshOutcome, runMesh } from "./run.ts";

const everyService = "catalog,inventory,cart,payments,orders,identity,gateway";

const { values } = parseArgs({
  options: {
    services: { type: "string", default: everyService },
    shoppers: { type: "string", default: "3" },
    hold: { type: "string", default: "4" },
    away: { type: "string", default: "60" },
    only: { type: "string", default: "" },
    keep: { type: "boolean", default: false },
  },
});

function numberOf(name: "shoppers" | "hold" | "away"): number {
  const value = Number(values[name]);
  if (!(value > 0 && value <= 600)) throw new Error(`--${name} must be a number from 0 to 600`);
  return value;
}

/** Every service in turn; then builds that do not work; then control. */
function planPhases(broken: BrokenPrograms): readonly Phase[] {
  const [holdMs, awayMs] = [numberOf("hold") * 1_000, numberOf("away") * 1_000];
  const services = values.services.split(",");
  const ofServices = services.flatMap((service) => [
    scaled(service, 3, holdMs),
    rolledOut(service, holdMs),
    killed(service, holdMs),
  ]);
  const ofControl = [
    controlKilled(holdMs),
    controlPaused(holdMs * 2, holdMs),
    controlAway({ service: "cart", awayMs, holdMs }),
  ];
  return [...ofServices, ...wentBack(broken, holdMs), ...ofControl].filter(({ what }) => what.includes(values.only));
}

const say = (text: string): void => console.log(`${(performance.now() / 1_000).toFixed(0).padStart(5)} s  ${text}`);

async function run(signal: AbortSignal): Promise<boolean> {
  await buildPrograms();
  const place = await newPlace();
  try {
    const phases = planPhases(await makeBrokenPrograms(join(place.dataDir, "../broken")));
    const shoppersPerSecond = numberOf("shoppers");
    const shared = { place, phases, shoppersPerSecond, say, signal };
    return report(await runMesh({ ...shared, proveRules: values.only === "", warmUpMs: 10_000 }));
  } finally {
    if (values.keep) console.log(`kept: ${place.dataDir}`);
    else await place.remove();
  }
}

function report({ table, rules, findings, orders, problems }: MeshOutcome): boolean {
  const load = loadavg().map((part) => part.toFixed(2));
  console.log(`\n${table}\n\n${describeFindings(findings)}\n`);
  for (const { what, detail, passed } of rules) console.log(`${passed ? "ok    " : "FAILED"}  ${what}: ${detail}`);
  console.log(`\n${orders} orders, all told; load averages ${load.join(" ")}`);
  for (const problem of problems) console.log(`NOT: ${problem}`);
  const passed = problems.length === 0 && rules.every((rule) => rule.passed) && holds(findings);
  console.log(passed ? "nobody noticed who was not to notice" : "NOT everything is as it must be");
  return passed;
}

const signals = watchStopSignals();
try {
  process.exitCode = (await run(signals.stop)) ? 0 : 1;
} catch (error) {
  console.error(signals.stop.aborted ? "stopped" : error);
  process.exitCode = 1;
} finally {
  signals.close();
}
