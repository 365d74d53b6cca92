import { afterAll, beforeAll, expect, test } from "vitest";
import { describeFindings, holds } from "../audit/audit.ts";
import { buildPrograms, newPlace, type ShopPlace } from "../support/setup.ts";
import { controlKilled, killed, rolledOut, scaled } from "./phases.ts";
import { runMesh } from "./run.ts";

// The slice of `npm run e2e:mesh` that says most in a minute: one service for each kind of change, the gateway, and control.

let place: ShopPlace;

beforeAll(async () => {
  await buildPrograms();
  place = await newPlace();
}, 120_000);

afterAll(() => place?.remove(), 60_000);

test("nobody notices that parts of the shop are scaled, rolled out and killed, nor that control is", async () => {
  const holdMs = 1_000;
  const { problems, findings, orders, table } = await runMesh({
    place,
    proveRules: false,
    phases: [
      scaled("cart", 2, holdMs),
      rolledOut("orders", holdMs),
      rolledOut("gateway", holdMs),
      killed("catalog", holdMs),
      controlKilled(holdMs, []),
    ],
    shoppersPerSecond: 2,
    warmUpMs: 3_000,
    say: () => {},
    signal: AbortSignal.timeout(150_000),
  });
  expect(problems, table).toEqual([]);
  expect(holds(findings), describeFindings(findings)).toBe(true);
  expect(orders).toBeGreaterThan(10);
}, 180_000);
