import { type Instance as InstanceMessage, InstanceState } from "#gen/mesh/v1/instance.ts";
import type { InstanceReport, RegisteredInstance } from "#gen/mesh/v1/registry_service.ts";
import type { Instance, Registered, Report, ReportedState } from "./domain.ts";

/**
 * An instance as a request has it, without what the contract does not know. Undefined when it was started at a time that
 * can be neither told on nor written down.
 */
export function instanceOf({ name, service, version, host, port, startTime }: InstanceMessage): Instance | undefined {
  if (startTime !== undefined && Number.isNaN(startTime.getTime())) return undefined;
  return { name, service, version, host, port, startTime };
}

/** A report; undefined when its state is none that an instance can tell of itself. */
export function reportOf({ state, stats }: InstanceReport): Report | undefined {
  const reported = reportedStates.find((name) => InstanceState[name] === state);
  return reported === undefined ? undefined : { state: reported, stats };
}

const reportedStates: readonly ReportedState[] = ["SERVING", "NOT_SERVING", "DRAINING"];

/** An instance as the contract shows it. */
export function registeredMessage(registered: Registered): RegisteredInstance {
  const { instance, state, stats, registerTime, reportTime } = registered;
  return { instance, state: InstanceState[state], stats, registerTime, reportTime };
}
