import type { Callers } from "#mesh/contract/contract.ts";
import type { User } from "#mesh/rpc/call.ts";

/** The workload that speaks for end users: the public gateway. */
export const GATEWAY_WORKLOAD = "gateway";

export type Decision =
  | {
      readonly allowed: true;
      /** The entry of the policy that admits the call: `customer`, `role:admin`, `service:orders`. */
      readonly rule: string;
    }
  | { readonly allowed: false; readonly rule: undefined; readonly reason: "TOKEN_MISSING" | "NOT_ALLOWED" };

/**
 * Whether a policy lets this caller in. Nobody is let in who is not named: a workload by `services` or `workloads`; the
 * gateway by the end user it speaks for; and `anonymous` lets in every workload of the shop, whomever it speaks for.
 * `guest` and `customer` admit their own kind alone, so a method for both lists both. A process without an identity has
 * the workload "", and is let in by `joining` alone.
 */
export function authorize(callers: Callers, workload: string, user: User | undefined): Decision {
  if (workload === "") return callers.joining === true ? allow("joining") : refuse("NOT_ALLOWED");
  if (callers.services.includes(workload)) return allow(`service:${workload}`);
  if (callers.workloads === true) return allow("workloads");
  if (callers.anonymous) return allow("anonymous");
  if (workload !== GATEWAY_WORKLOAD) return refuse("NOT_ALLOWED");
  if (user === undefined) return refuse(admitsSomeUser(callers) ? "TOKEN_MISSING" : "NOT_ALLOWED");
  if (user.kind === "guest") return callers.guest ? allow("guest") : refuse("NOT_ALLOWED");
  if (callers.customer) return allow("customer");
  const role = callers.roles.find((name) => user.roles.includes(name));
  return role === undefined ? refuse("NOT_ALLOWED") : allow(`role:${role}`);
}

function allow(rule: string): Decision {
  return { allowed: true, rule };
}

function refuse(reason: "TOKEN_MISSING" | "NOT_ALLOWED"): Decision {
  return { allowed: false, rule: undefined, reason };
}

/** Whether a token could help at all. */
function admitsSomeUser(callers: Callers): boolean {
  return callers.guest || callers.customer || callers.roles.length > 0;
}

/** A policy in words, for the log of a refusal: `customer, role:admin, service:orders`. */
export function describeCallers(callers: Callers): string {
  const entries = [
    ...(callers.anonymous ? ["anonymous"] : []),
    ...(callers.guest ? ["guest"] : []),
    ...(callers.customer ? ["customer"] : []),
    ...callers.roles.map((role) => `role:${role}`),
    ...callers.services.map((service) => `service:${service}`),
    ...(callers.workloads === true ? ["workloads"] : []),
    ...(callers.joining === true ? ["joining"] : []),
  ];
  return entries.length === 0 ? "nobody" : entries.join(", ");
}
