import { join } from "node:path";
import { meshFailure } from "#mesh/contract/errors.ts";
import type { Fields } from "../files/fields.ts";
import { type KeptState, keepState } from "../files/kept-state.ts";
import { stateFile } from "../files/state-file.ts";
import type { Memory } from "../once/domain.ts";
import { rememberedOf } from "../once/requests.ts";
import {
  changedServices,
  type Fault,
  type FaultRule,
  noRules,
  type Rules,
  type Split,
  type SplitRule,
  withoutExpired,
} from "./domain.ts";

/** The rules, and what was answered to those who made them. */
export interface TrafficState {
  readonly rules: Rules;
  readonly memory: Memory;
}

/** The rules of all traffic, on disk before they hold. */
export interface TrafficRules extends Pick<KeptState<TrafficState>, "change"> {
  /** The rules that are in force at this moment. */
  at(now: Date): Rules;
  /** Ends those whose time is up by now, also when the disk does not take that. */
  expire(now: Date): Promise<void>;
}

/** Opens the rules that are kept in a folder; `onChange` is told the services of which they change. */
export async function openTrafficRules(
  folder: string,
  onChange: (services: ReadonlySet<string>) => void,
): Promise<TrafficRules> {
  const file = stateFile<TrafficState>({
    path: join(folder, "traffic.json"),
    fromJson: readState,
    toJson: (state) => ({ ...state, rules: { ...state.rules, splits: [...state.rules.splits.values()] } }),
    without: "then no rule of traffic is in force",
  });
  const overloaded = (): Error => meshFailure("OVERLOADED", "too many changes at once", { retryDelayMs: 1_000 });
  const kept = keepState(file, (await file.read()) ?? { rules: noRules, memory: [] }, overloaded);
  return {
    at: (now) => withoutExpired(kept.value.rules, now),
    async expire(now) {
      const expired = changedServices(kept.value.rules, withoutExpired(kept.value.rules, now));
      if (expired.size === 0) return;
      onChange(expired);
      await kept.change((state) => ({
        next: { ...state, rules: withoutExpired(state.rules, now) },
        result: undefined,
      }));
    },
    async change(step) {
      const { services, result } = await kept.change((state) => {
        const { next, result } = step(state);
        return { next, result: { services: changedServices(state.rules, next.rules), result } };
      });
      onChange(services);
      return result;
    },
  };
}

function readState(fields: Fields): TrafficState {
  const rules = fields.object("rules");
  const splits = rules.list("splits", readSplitRule);
  return {
    rules: {
      splits: new Map(splits.map((rule) => [rule.service, rule])),
      faults: rules.list("faults", readFaultRule),
    },
    memory: fields.list("memory", rememberedOf),
  };
}

function readSplitRule(fields: Fields): SplitRule {
  return { ...readRule(fields), split: readSplit(fields.object("split")) };
}

function readFaultRule(fields: Fields): FaultRule {
  return { ...readRule(fields), faultId: fields.text("faultId"), fault: readFault(fields.object("fault")) };
}

function readRule(fields: Fields): Pick<SplitRule, "service" | "createTime" | "expireTime"> {
  return {
    service: fields.text("service"),
    createTime: fields.time("createTime"),
    expireTime: fields.optional("expireTime", (rule, name) => rule.time(name)),
  };
}

function readSplit(fields: Fields): Split {
  return {
    headerMatches: fields.list("headerMatches", (match) => ({
      header: match.text("header"),
      value: match.text("value"),
      version: match.text("version"),
    })),
    weights: fields.list("weights", (weight) => ({
      version: weight.text("version"),
      percent: weight.whole("percent"),
    })),
  };
}

function readFault(fields: Fields): Fault {
  return {
    callers: fields.texts("callers"),
    methods: fields.texts("methods"),
    percent: fields.whole("percent"),
    delayMs: fields.number("delayMs"),
    statusCode: fields.whole("statusCode"),
  };
}
