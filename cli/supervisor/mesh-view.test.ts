import { afterEach, expect, test } from "vitest";
import { InstanceState } from "#gen/mesh/v1/instance.ts";
import { RegistryService } from "#gen/mesh/v1/registry_service.contract.ts";
import type { RegisteredInstance } from "#gen/mesh/v1/registry_service.ts";
import { implement } from "#mesh/contract/contract.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { controlView } from "./mesh-view.ts";

let mesh: TestMesh | undefined;
afterEach(async () => {
  await mesh?.close();
  mesh = undefined;
});

const never = new AbortController().signal;

/** Control as it answers one question after the other; the last answer is given again and again. */
async function viewOf(...answers: (readonly RegisteredInstance[] | "away")[]) {
  let asked = 0;
  mesh = await startTestMesh({
    control: () => [
      implement(RegistryService, {
        // biome-ignore lint/correctness/useYield: nobody registers here
        async *register() {
          throw new Error("not in this test");
        },
        async listInstances() {
          const instances = answers[Math.min(asked, answers.length - 1)] ?? [];
          asked += 1;
          if (instances === "away") throw meshFailure("SERVICE_UNAVAILABLE", "away");
          return { instances };
        },
      }),
    ],
  });
  const view = controlView(mesh.mesh("supervisor"), (service) => service === "cart");
  return { view, asked: () => asked };
}

function cart(number: number, calls: bigint, atMs: number | undefined): RegisteredInstance {
  const name = `cart-${number}`;
  return {
    instance: { name, service: "cart", version: "v1", host: "127.0.0.1", port: 1, startTime: undefined },
    state: InstanceState.SERVING,
    stats: { callsTotal: calls, callsFailed: 0n, callsShed: 0n, callsRunning: 0n, concurrencyLimit: 0n },
    registerTime: new Date(1),
    reportTime: atMs === undefined ? undefined : new Date(atMs),
  };
}

test("tells the calls of those that are wanted when all of them have reported since", async () => {
  const old = [cart(1, 10n, 1_000), cart(2, 20n, 1_000)];
  const { view, asked } = await viewOf(
    "away",
    [],
    [cart(1, 0n, undefined), cart(2, 0n, undefined)],
    old,
    "away",
    [cart(1, 11n, 2_000), cart(2, 20n, 1_000)],
    [cart(1, 12n, 3_000), cart(2, 22n, 3_000)],
  );
  const first = await view.calls({ service: "cart", wanted: ["cart-1"], since: new Map() }, never);
  expect(asked()).toBe(4);
  const wanted = ["cart-1", "cart-2"];
  const second = await view.calls({ service: "cart", wanted, since: first }, never);
  expect(second.get("cart-2")).toEqual({ total: 22, failed: 0, atMs: 3_000 });
  expect(asked()).toBe(7);
});

test("waits for control no longer than until the signal aborts", async () => {
  const { view } = await viewOf("away");
  const signal = AbortSignal.timeout(100);
  await expect(view.calls({ service: "cart", wanted: ["cart-1"], since: new Map() }, signal)).rejects.toThrow();
});

test("waits for nothing where the registry knows of nobody", async () => {
  const { view, asked } = await viewOf("away");
  expect(await view.calls({ service: "control", wanted: ["control"], since: new Map() }, never)).toEqual(new Map());
  expect(asked()).toBe(0);
});
