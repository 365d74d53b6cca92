import { RegistryService } from "#gen/mesh/v1/registry_service.contract.ts";
import type {
  ListInstancesRequest,
  ListInstancesResponse,
  RegisterRequest,
  RegisterResponse,
} from "#gen/mesh/v1/registry_service.ts";
import type { Handlers } from "#mesh/contract/contract.ts";
import { failures, meshFailure } from "#mesh/contract/errors.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { MAX_INSTANCES, MAX_INSTANCES_PER_SERVICE, type Registry } from "./domain.ts";
import { instanceOf, registeredMessage } from "./messages.ts";
import type { RegistrationFailures, Registrations } from "./registrations.ts";

const fail = failures(RegistryService);

/** What the handlers work with. */
export interface RegistryDeps {
  readonly registry: Registry;
  readonly registrations: Registrations;
}

/** The handlers of `mesh.v1.RegistryService`. */
export function registryHandlers({ registry, registrations }: RegistryDeps): Handlers<typeof RegistryService> {
  return {
    async *register(requests: AsyncIterable<RegisterRequest>, call: Call): AsyncGenerator<RegisterResponse> {
      const iterator = requests[Symbol.asyncIterator]();
      const first = await iterator.next();
      const content = first.done === true ? undefined : first.value.content;
      if (content?.$case !== "instance") throw registrationFailures.malformed();
      const instance = instanceOf(content.value);
      if (instance === undefined) throw registrationFailures.malformed();
      if (instance.service !== call.caller) {
        const message = `An instance of ${instance.service} is registered by ${instance.service} alone.`;
        throw fail("INSTANCE_FOREIGN", message, { service: call.caller });
      }
      yield* registrations.hold(instance, { [Symbol.asyncIterator]: () => iterator }, call.signal);
    },
    async listInstances({ service }: ListInstancesRequest): Promise<ListInstancesResponse> {
      const wanted = registry.list().filter(({ instance }) => service === "" || instance.service === service);
      return { instances: wanted.map(registeredMessage) };
    },
  };
}

/** Why registrations end. */
export const registrationFailures: RegistrationFailures = {
  full: () =>
    fail(
      "REGISTRY_FULL",
      `There are ${MAX_INSTANCES} instances already, or ${MAX_INSTANCES_PER_SERVICE} of this service.`,
    ),
  replaced: () => fail("INSTANCE_REPLACED", "A later registration under the same name took the place of this one."),
  malformed: () => fail("REGISTRATION_MALFORMED", "A registration begins with an instance, and goes on with reports."),
  lapsed: () => meshFailure("DEADLINE_EXCEEDED", "No report came before the lease ended; register again."),
};
