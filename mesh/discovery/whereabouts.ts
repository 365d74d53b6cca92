import type { Logger } from "pino";
import type { TrustBundle } from "#gen/mesh/v1/discovery_service.ts";
import type { Instance, InstanceStats } from "#gen/mesh/v1/instance.ts";
import type { MeshConfig } from "#mesh/config.ts";
import { type ControlClient, ControlEndpoints } from "#mesh/discovery/control-endpoints.ts";
import { dnsEndpoints } from "#mesh/discovery/dns-endpoints.ts";
import { type EndpointSource, overlay, staticEndpoints } from "#mesh/discovery/endpoints.ts";
import { type Registration, type RegistrationOptions, register, unregistered } from "#mesh/discovery/registration.ts";

/** How one process finds others, and is found. */
export interface Whereabouts {
  readonly endpoints: EndpointSource;
  /** Begins to follow the control plane, if there is one. Called once. */
  join(control: ControlAccess): void;
  /** Registers what takes calls at a port of this process. Does nothing where there is no control plane. After `join`. */
  register(port: number, stats: () => InstanceStats): Registration;
  close(): void;
}

/** By what the control plane is reached. */
export interface ControlAccess extends ControlClient, Pick<RegistrationOptions, "registry"> {}

export interface WhereaboutsOptions {
  /** The workload. */
  readonly name: string;
  readonly config: MeshConfig;
  readonly startTime: Date;
  readonly log: Logger;
  /** Is told whom to trust, as the control plane says. */
  readonly onTrust?: (bundle: TrustBundle) => void;
}

const CONTROL = "control";

/** By the process's settings; see `MeshConfig`. */
export function createWhereabouts(options: WhereaboutsOptions): Whereabouts {
  const { name, config, log } = options;
  const { control, dnsTarget, targets, discovery } = config;
  const table = control === undefined ? targets : { [CONTROL]: [control], ...targets };
  if (dnsTarget !== undefined) {
    const dns = dnsEndpoints({ target: dnsTarget, log });
    return alone(overlay(table, dns), () => dns.close());
  }
  // Control itself is found by its address, and calls nobody.
  if (control === undefined || discovery === "dns" || name === CONTROL) return alone(staticEndpoints(table), () => {});
  return followed(options, table);
}

function alone(endpoints: EndpointSource, close: () => void): Whereabouts {
  return { endpoints, join() {}, register: () => unregistered, close };
}

function followed(
  { name, config, startTime, log, onTrust }: WhereaboutsOptions,
  table: MeshConfig["targets"],
): Whereabouts {
  const { version, advertise: host } = config;
  const instanceName = instanceOf(name, config.instance);
  const endpoints = new ControlEndpoints({ instance: instanceName, log, onTrust });
  const registrations: Registration[] = [];
  let access: ControlAccess | undefined;
  return {
    endpoints: overlay(table, endpoints),
    join(control) {
      access = control;
      endpoints.follow(control);
    },
    register(port, stats) {
      if (access === undefined) throw new Error("register follows join");
      const instance: Instance = { name: instanceName, service: name, version, host, port, startTime };
      const registration = register({ ...access, instance, stats, log });
      registrations.push(registration);
      return registration;
    },
    close() {
      for (const registration of registrations) registration.close();
      endpoints.close();
    },
  };
}

/** A number alone names an instance only together with its service. */
function instanceOf(service: string, instance: string): string {
  return /^[a-z]/.test(instance) ? instance : `${service}-${instance}`;
}
