import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { TrafficSplit } from "#gen/mesh/v1/discovery_service.ts";
import { InstanceState } from "#gen/mesh/v1/instance.ts";
import { RegistryService } from "#gen/mesh/v1/registry_service.contract.ts";
import type { RegisteredInstance } from "#gen/mesh/v1/registry_service.ts";
import { TrafficService } from "#gen/mesh/v1/traffic_service.contract.ts";
import { meshFailure, RpcError } from "#mesh/contract/errors.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import type { Calls } from "./proof.ts";

/** What the supervisor learns from control, and what it tells it. */
export interface MeshView {
  /** Settles when an instance is known to everybody as one that takes calls. Rejects when the signal aborts. */
  serving(which: { readonly service: string; readonly instance: string }, signal: AbortSignal): Promise<void>;
  /**
   * The calls that each instance of a service has ended so far. Settles when each of those that are `wanted` has reported
   * to control after `since`, and at once for a service that the registry does not know. Rejects when the signal aborts.
   */
  calls(which: Look, signal: AbortSignal): Promise<ReadonlyMap<string, Reported>>;
  /** Puts a split in force, and returns it as it is. */
  setSplit(service: string, split: TrafficSplit): Promise<TrafficSplit>;
  clearSplit(service: string): Promise<void>;
}

/** What is to be learned of the instances of a service. */
export interface Look {
  readonly service: string;
  readonly wanted: Iterable<string>;
  /** What was seen before; empty for the first look. */
  readonly since: ReadonlyMap<string, Reported>;
}

/** The calls of an instance as it last reported them. */
export interface Reported extends Calls {
  /** When that was, on control's clock. */
  readonly atMs: number;
}

/** How often the registry is asked for an instance that is to come. */
const pollMs = 50;
const listMs = 2_000;
const ruleMs = 5_000;

/** Control, as the workload `supervisor` sees it. `isRegistered` tells of which services the registry knows. */
export function controlView(mesh: MeshNode, isRegistered: (service: string) => boolean): MeshView {
  const registry = mesh.client(RegistryService);
  const traffic = mesh.client(TrafficService);
  const list = async (service: string): Promise<readonly RegisteredInstance[]> => {
    const call = mesh.background({ name: "list-instances", timeoutMs: listMs });
    try {
      return (await registry.listInstances({ service }, call)).instances;
    } catch (error) {
      // Control is away for a moment: whoever waits asks again.
      if (error instanceof RpcError) return [];
      throw error;
    } finally {
      call.done();
    }
  };
  const change = async <T>(
    name: string,
    work: (call: ReturnType<MeshNode["background"]>) => Promise<T>,
  ): Promise<T> => {
    const call = mesh.background({ name, timeoutMs: ruleMs });
    try {
      return await work(call);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      const metadata = { service: "control" };
      throw meshFailure("SERVICE_UNAVAILABLE", `control changed no rule: ${error.message}`, { metadata, cause: error });
    } finally {
      call.done();
    }
  };
  return {
    async serving({ service, instance }, signal) {
      while (isRegistered(service)) {
        const found = (await list(service)).find((one) => one.instance?.name === instance);
        if (found?.state === InstanceState.SERVING) return;
        await delay(pollMs, undefined, { signal });
      }
    },
    async calls({ service, wanted, since }, signal) {
      const names = [...wanted];
      while (isRegistered(service)) {
        const now = new Map((await list(service)).flatMap(reportOf));
        // None of what is seen may be from before, such as from before a restart of control.
        if (names.every((name) => (now.get(name)?.atMs ?? 0) > (since.get(name)?.atMs ?? 0))) return now;
        await delay(pollMs, undefined, { signal });
      }
      return new Map();
    },
    async setSplit(service, split) {
      const request = { requestId: randomUUID(), service, split, timeToLive: undefined };
      const { rule } = await change("set-split", (call) => traffic.setTrafficSplit(request, call));
      return rule?.effect?.$case === "split" ? rule.effect.value : split;
    },
    async clearSplit(service) {
      await change("clear-split", (call) => traffic.clearTrafficSplit({ requestId: randomUUID(), service }, call));
    },
  };
}

function reportOf({ instance, stats, reportTime }: RegisteredInstance): readonly (readonly [string, Reported])[] {
  if (instance === undefined || stats === undefined || reportTime === undefined) return [];
  const [total, failed, atMs] = [Number(stats.callsTotal), Number(stats.callsFailed), reportTime.getTime()];
  return [[instance.name, { total, failed, atMs }]];
}
