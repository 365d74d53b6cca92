import { DiscoveryService } from "#gen/mesh/v1/discovery_service.contract.ts";
import type {
  Cluster,
  StreamResourcesRequest,
  StreamResourcesResponse,
  TrustBundle,
} from "#gen/mesh/v1/discovery_service.ts";
import type { Handlers } from "#mesh/contract/contract.ts";
import { failures } from "#mesh/contract/errors.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { MeshAuthority } from "../authority/authority.ts";
import type { Registry } from "../registry/domain.ts";
import type { Rules } from "../traffic/domain.ts";
import { faultMessage, splitMessage } from "../traffic/messages.ts";
import type { Publisher } from "./publisher.ts";

const fail = failures(DiscoveryService);

/** The handlers of `mesh.v1.DiscoveryService`. */
export function discoveryHandlers(publisher: Publisher): Handlers<typeof DiscoveryService> {
  return {
    async *streamResources(
      requests: AsyncIterable<StreamResourcesRequest>,
      call: Call,
    ): AsyncGenerator<StreamResourcesResponse> {
      yield* publisher.follow(call.caller, requests, call.signal);
    },
  };
}

export const tooManyWatchers = (): Error =>
  fail("TOO_MANY_WATCHERS", "As many processes follow the mesh as may; try again later.");

/** Whom to trust. */
export function trustOf(authority: Pick<MeshAuthority, "list" | "generation">): TrustBundle {
  const certificates = authority.list().map(({ certificate }) => certificate);
  return { certificates, generation: BigInt(authority.generation) };
}

/** A service, where it is, and how calls get there. */
export function clusterOf(service: string, registry: Registry, rules: Rules): Cluster {
  const split = rules.splits.get(service);
  return {
    service,
    endpoints: registry
      .endpointsOf(service)
      .map(({ name, version, host, port }) => ({ instance: name, version, host, port })),
    split: split === undefined ? undefined : splitMessage(split.split),
    faults: rules.faults.filter((rule) => rule.service === service).map(faultMessage),
  };
}
