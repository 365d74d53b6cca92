import { TrafficService } from "#gen/mesh/v1/traffic_service.contract.ts";
import type {
  ClearTrafficSplitRequest,
  ClearTrafficSplitResponse,
  CreateTrafficFaultRequest,
  CreateTrafficFaultResponse,
  DeleteTrafficFaultRequest,
  DeleteTrafficFaultResponse,
  ListTrafficRulesResponse,
  SetTrafficSplitRequest,
  SetTrafficSplitResponse,
} from "#gen/mesh/v1/traffic_service.ts";
import type { Clock } from "#mesh/clock.ts";
import type { Handlers } from "#mesh/contract/contract.ts";
import { failures } from "#mesh/contract/errors.ts";
import { newId } from "#mesh/ids.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { once } from "../once/requests.ts";
import type { Registry } from "../registry/domain.ts";
import * as domain from "./domain.ts";
import { faultOf, msOf, ruleMessage, splitOf } from "./messages.ts";
import type { TrafficRules, TrafficState } from "./rules.ts";

const fail = failures(TrafficService);

/** What the handlers work with. */
export interface TrafficDeps {
  readonly rules: TrafficRules;
  readonly registry: Pick<Registry, "versionsOf">;
  readonly clock: Clock;
}

/** The handlers of `mesh.v1.TrafficService`. */
export function trafficHandlers(deps: TrafficDeps): Handlers<typeof TrafficService> {
  return {
    setTrafficSplit: setTrafficSplit(deps),
    clearTrafficSplit: clearTrafficSplit(deps),
    createTrafficFault: createTrafficFault(deps),
    deleteTrafficFault: deleteTrafficFault(deps),
    listTrafficRules: listTrafficRules(deps),
  };
}

const setTrafficSplit =
  ({ rules, registry, clock }: TrafficDeps) =>
  (request: SetTrafficSplitRequest, call: Call): Promise<SetTrafficSplitResponse> => {
    const { service, split, timeToLive } = request;
    const now = clock.now();
    const times = { createTime: now, expireTime: endOf(now, msOf(timeToLive)) };
    // The contract's rules want a split.
    const rule = { service, split: splitOf(split ?? { headerMatches: [], weights: [] }), ...times };
    const change = (state: TrafficState) => {
      const after = domain.setSplit(state.rules, rule, registry.versionsOf(service));
      if (!after.ok) throw splitFailure(service, after.error);
      return { state: { ...state, rules: after.value }, response: { rule: ruleMessage(rule) } };
    };
    return rules.change(once(call, request, now, change));
  };

const clearTrafficSplit =
  ({ rules, clock }: TrafficDeps) =>
  (request: ClearTrafficSplitRequest, call: Call): Promise<ClearTrafficSplitResponse> => {
    const clear = (state: TrafficState) => ({
      state: { ...state, rules: domain.clearSplit(state.rules, request.service) },
      response: {},
    });
    return rules.change(once(call, request, clock.now(), clear));
  };

const createTrafficFault =
  ({ rules, registry, clock }: TrafficDeps) =>
  (request: CreateTrafficFaultRequest, call: Call): Promise<CreateTrafficFaultResponse> => {
    const { service, fault, timeToLive } = request;
    const now = clock.now();
    const times = { createTime: now, expireTime: endOf(now, msOf(timeToLive)) };
    if (fault === undefined) throw faultFailure(service, "malformed");
    const rule = { service, faultId: newId("flt"), fault: faultOf(fault), ...times };
    const change = (state: TrafficState) => {
      const after = domain.addFault(state.rules, rule, registry.versionsOf(service));
      if (!after.ok) throw faultFailure(service, after.error);
      return { state: { ...state, rules: after.value }, response: { rule: ruleMessage(rule) } };
    };
    return rules.change(once(call, request, now, change));
  };

const deleteTrafficFault =
  ({ rules, clock }: TrafficDeps) =>
  (request: DeleteTrafficFaultRequest, call: Call): Promise<DeleteTrafficFaultResponse> => {
    const remove = (state: TrafficState) => ({
      state: { ...state, rules: domain.removeFault(state.rules, request.faultId) },
      response: {},
    });
    return rules.change(once(call, request, clock.now(), remove));
  };

const listTrafficRules =
  ({ rules, clock }: TrafficDeps) =>
  async (): Promise<ListTrafficRulesResponse> => ({
    rules: domain.listRules(rules.at(clock.now())).map(ruleMessage),
  });

/** Undefined for never. */
function endOf(now: Date, lifetimeMs: number): Date | undefined {
  return lifetimeMs === 0 ? undefined : new Date(now.getTime() + lifetimeMs);
}

function splitFailure(service: string, refusal: domain.SplitRefusal): Error {
  switch (refusal.kind) {
    case "malformed":
      return fail("SPLIT_MALFORMED", `This split cannot be carried out: ${refusal.problem}.`);
    case "service_unknown":
      return unknownService(service);
    case "version_unknown": {
      const { version } = refusal;
      return fail("VERSION_UNKNOWN", `No instance of ${service} has the version ${version}.`, { version });
    }
  }
}

function faultFailure(service: string, refusal: domain.FaultRefusal): Error {
  switch (refusal) {
    case "malformed":
      return fail("FAULT_MALFORMED", "A fault delays, or fails, or both; this one does neither.");
    case "service_unknown":
      return unknownService(service);
    case "too_many":
      return fail("TOO_MANY_RULES", `There are ${domain.MAX_FAULTS} faults already.`);
  }
}

function unknownService(service: string): Error {
  return fail("SERVICE_UNKNOWN", `No instance of a service ${service} is registered.`, { service });
}
