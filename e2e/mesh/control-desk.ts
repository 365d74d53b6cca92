import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { SupervisorService } from "#gen/mesh/supervisor/v1/supervisor_service.contract.ts";
import { type Process, ProcessState, type Release, RolloutStep } from "#gen/mesh/supervisor/v1/supervisor_service.ts";
import { InstanceState } from "#gen/mesh/v1/instance.ts";
import { RegistryService } from "#gen/mesh/v1/registry_service.contract.ts";
import type { RegisteredInstance } from "#gen/mesh/v1/registry_service.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import type { OwnCall } from "#mesh/rpc/call.ts";

/** What an operator does to a shop that runs: over the supervisor's own interface, and with signals. */
export interface ControlDesk {
  readonly operator: MeshNode;
  /** A call of the operator's own. */
  call(timeoutMs?: number): OwnCall;
  scale(service: string, instances: number): Promise<void>;
  /** Resolves with what a rollout ended with. */
  rollout(service: string, release: Release): Promise<RolloutEnd>;
  processes(): Promise<readonly Process[]>;
  /** Sends a signal to a process. */
  signal(name: string, signal: NodeJS.Signals): Promise<void>;
  /** Kills a process, and waits until another in its place takes calls. */
  killAndAwait(name: string): Promise<void>;
  /** What control knows; rejects when it does not answer. */
  instances(): Promise<readonly RegisteredInstance[]>;
  /**
   * Waits until control has heard of every instance that there is. Resolves with when each was first seen there: ms, from
   * a moment that is the same for all.
   */
  registered(): Promise<readonly number[]>;
}

export interface RolloutEnd {
  readonly finished: boolean;
  /** Every step in words. */
  readonly steps: readonly string[];
}

const changeTimeoutMs = 180_000;
const quickTimeoutMs = 5_000;
const pollMs = 100;
const lookMs = 20;
const waitMs = 90_000;

export function createControlDesk(operator: MeshNode): ControlDesk {
  const supervisor = operator.client(SupervisorService);
  const registry = operator.client(RegistryService);
  const call = (timeoutMs = changeTimeoutMs): OwnCall => operator.background({ name: "proof", timeoutMs });
  const processes = async (): Promise<readonly Process[]> =>
    (await supervisor.listProcesses({}, call(quickTimeoutMs))).processes;
  const pidOf = async (name: string): Promise<number> => {
    const pid = (await processes()).find((process) => process.name === name)?.pid ?? 0;
    if (pid <= 0) throw new Error(`there is no process ${name}`);
    return pid;
  };
  const instances = async (): Promise<readonly RegisteredInstance[]> =>
    (await registry.listInstances({ service: "" }, call(quickTimeoutMs))).instances;
  return {
    operator,
    call,
    async scale(service, count) {
      await supervisor.scaleService({ requestId: randomUUID(), service, instances: count }, call());
    },
    async rollout(service, release) {
      const steps: string[] = [];
      let finished = false;
      const request = { requestId: randomUUID(), service, release };
      for await (const { step, instance, version, cause } of supervisor.rolloutService(request, call())) {
        steps.push([stepName(step), instance, version, cause].filter((word) => word !== "").join(" "));
        finished = step === RolloutStep.FINISHED;
      }
      return { finished, steps };
    },
    processes,
    async signal(name, signal) {
      process.kill(await pidOf(name), signal);
    },
    async killAndAwait(name) {
      const pid = await pidOf(name);
      process.kill(pid, "SIGKILL");
      await until(`${name} takes calls again`, async () => {
        const now = (await processes()).find((process) => process.name === name);
        return now !== undefined && now.pid !== pid && now.state === ProcessState.READY;
      });
    },
    instances,
    async registered() {
      const seenMs = new Map<string, number>();
      const isAll = async (): Promise<boolean> => {
        const serving = (await instances().catch(() => [])).filter(({ state }) => state === InstanceState.SERVING);
        const now = performance.now();
        const names = serving.map(({ instance }) => instance?.name ?? "");
        for (const name of names) seenMs.set(name, seenMs.get(name) ?? now);
        const registering = (await processes()).filter(({ service }) => !["", "control"].includes(service));
        return registering.every(({ name }) => names.includes(name));
      };
      await until("every instance is registered", isAll, lookMs);
      return [...seenMs.values()];
    },
  };
}

function stepName(step: RolloutStep): string {
  return Object.entries(RolloutStep).find(([, value]) => value === step)?.[0] ?? String(step);
}

/** Asks again and again until it is so; rejects when that takes too long. */
export async function until(what: string, isSo: () => Promise<boolean>, everyMs = pollMs): Promise<void> {
  const giveUpMs = performance.now() + waitMs;
  while (!(await isSo())) {
    if (performance.now() > giveUpMs) throw new Error(`it did not come about that ${what}`);
    await delay(everyMs);
  }
}
