import type { Authority } from "#gen/mesh/v1/certificate_service.ts";
import { AuthorityState } from "#gen/mesh/v1/certificate_service.ts";
import type { TrafficRule } from "#gen/mesh/v1/traffic_service.ts";
import type { RunState } from "../../data/run-file.ts";
import { describeRule } from "../rule-text.ts";
import type { MeshLook } from "./look.ts";
import { isWell, type ProcessReport } from "./processes.ts";

/** A shop as it was at one moment. */
export interface ShopReport {
  readonly nowMs: number;
  readonly address: string;
  readonly dataDir: string;
  readonly uptimeSeconds: number;
  /** Whether all of it is as it should be. */
  readonly well: boolean;
  readonly processes: readonly ProcessReport[];
  /** What could not be found out, in words. */
  readonly troubles: readonly string[];
  /** The rules in force; undefined when nobody says. */
  readonly rules: readonly TrafficRule[] | undefined;
  /** The certificate authorities, the oldest first; undefined when nobody says. */
  readonly authorities: readonly Authority[] | undefined;
}

/** Puts together what was found out. */
export function reportShop(
  run: RunState,
  mesh: MeshLook,
  rest: Pick<ShopReport, "nowMs" | "dataDir" | "processes">,
): ShopReport {
  const troubles = troublesOf(mesh);
  return {
    ...rest,
    address: run.address,
    uptimeSeconds: Math.max(0, Math.round((rest.nowMs - Date.parse(run.startTime)) / 1_000)),
    well: troubles.length === 0 && rest.processes.every(isWell),
    troubles,
    rules: mesh.rules.ok ? mesh.rules.value : undefined,
    authorities: mesh.authorities.ok ? mesh.authorities.value : undefined,
  };
}

function troublesOf({ supervised, instances, rules }: MeshLook): readonly string[] {
  const control = [instances, rules].find((answer) => !answer.ok);
  return [
    ...(control?.ok === false
      ? [
          `control can't be asked: ${control.error}`,
          "what runs goes on with what it knows; calls, rules and authorities may be missing here",
        ]
      : []),
    ...(supervised.ok ? [] : [`the supervisor can't be asked: ${supervised.error}`]),
  ];
}

/** The same for programs. Rules carry what they do in words, too. */
export function statusJson(report: ShopReport): unknown {
  const { nowMs, well, address, dataDir, uptimeSeconds, troubles, processes, rules, authorities } = report;
  return {
    running: true,
    well,
    address,
    dataDir,
    uptimeSeconds,
    time: new Date(nowMs).toISOString(),
    troubles,
    processes,
    rules: rules?.map((rule) => ruleJson(rule, nowMs)),
    authorities: authorities?.map(authorityJson),
  };
}

function ruleJson(rule: TrafficRule, nowMs: number) {
  const { service, effect, createTime, expireTime } = rule;
  return {
    service,
    kind: effect?.$case,
    faultId: effect?.$case === "fault" ? effect.value.faultId : undefined,
    description: describeRule(rule),
    createTime,
    expireTime,
    restSeconds: expireTime === undefined ? undefined : Math.max(0, (expireTime.getTime() - nowMs) / 1_000),
  };
}

function authorityJson({ generation, state, ...rest }: Authority) {
  const name = Object.entries(AuthorityState).find(([, value]) => value === state)?.[0];
  return { generation: Number(generation), state: name, ...rest };
}
