import type { Callers, Contract } from "#mesh/contract/contract.ts";

/** Every method of the contracts with what its policy says, for people to read. By name; one line for each reason. */
export function listRpcs(contracts: readonly Contract[]): string {
  const byName = [...contracts].sort((a, b) => (a.name < b.name ? -1 : 1));
  const blocks = byName.map((contract) => `${contract.name}\n${methodsOf(contract).join("")}`);
  return ["Every RPC and its policy. Written anew by npm run golden.\n", ...blocks].join("\n");
}

function methodsOf({ definition, methods }: Contract): readonly string[] {
  return Object.entries(methods)
    .map(([key, { idempotency, deadlineMs, hedgeAfterMs, callers, errors }]) => {
      const name = `${key.charAt(0).toUpperCase()}${key.slice(1)}`;
      const stream = [definition[key]?.requestStream && "takes", definition[key]?.responseStream && "gives"];
      const streams = stream.filter((kind) => typeof kind === "string").map((kind) => `, ${kind} a stream`);
      const reasons = Object.entries(errors).map(([reason, code]) => `    ${reason} ${code}\n`);
      const hedge = hedgeAfterMs === undefined ? "" : `, hedged after ${hedgeAfterMs} ms`;
      const policy = `  ${name}: ${idempotency}, ${deadlineMs / 1_000} s${hedge}${streams.join("")}\n    by ${whoOf(callers)}\n`;
      return `${policy}${reasons.sort().join("")}`;
    })
    .sort();
}

function whoOf({ anonymous, guest, customer, roles, services, workloads, joining }: Callers): string {
  const kinds = [
    anonymous && "anybody",
    guest && "guests",
    customer && "customers",
    workloads && "every service",
    joining && "whoever comes to join",
  ];
  const named = [...roles].sort().map((role) => `role ${role}`);
  const others = [...services].sort().map((service) => `service ${service}`);
  return [...kinds.filter((kind) => typeof kind === "string"), ...named, ...others].join(", ");
}
