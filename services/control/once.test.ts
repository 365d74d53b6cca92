import { afterAll, beforeAll } from "vitest";
import { CertificateService } from "#gen/mesh/v1/certificate_service.contract.ts";
import type { TrafficSplit } from "#gen/mesh/v1/discovery_service.ts";
import { RegistryService } from "#gen/mesh/v1/registry_service.contract.ts";
import { TrafficService } from "#gen/mesh/v1/traffic_service.contract.ts";
import type { CreateTrafficFaultRequest, SetTrafficSplitRequest } from "#gen/mesh/v1/traffic_service.ts";
import { testOnce, workload } from "#testing/once.ts";
import { CLOCK_SKEW_MS, INTRODUCE_MIN_MS } from "./authority/domain.ts";
import { CERTIFICATE_LIFETIME_MS, startControl, type TestControl } from "./testing/control.ts";

let control: TestControl;

beforeAll(async () => {
  control = await startControl();
});
afterAll(() => control.close());

const operator = workload("operator");
const both = () => [operator, workload("supervisor")] as const;

testOnce(RegistryService, () => control.mesh, {});

testOnce(TrafficService, () => control.mesh, {
  setTrafficSplit: {
    callers: both,
    async prepare(_, requestId) {
      const service = await newService();
      return {
        request: setRequest(requestId, service, split(1)),
        other: () => setRequest(requestId, service, split(2)),
        meanwhile: () => set(service, split(3)),
        effect: () => splitsOf([service]),
        once: [split(1)],
      };
    },
  },
  clearTrafficSplit: {
    callers: both,
    async prepare(_, requestId) {
      const services = [await newService(), await newService()] as const;
      for (const service of services) await set(service, split(1));
      return {
        request: { requestId, service: services[0] },
        other: () => ({ requestId, service: services[1] }),
        meanwhile: () => set(services[0], split(2)),
        effect: () => splitsOf(services),
        once: [split(1)],
      };
    },
  },
  createTrafficFault: {
    callers: () => [operator],
    async prepare(_, requestId) {
      const service = await newService();
      return {
        request: faultRequest(requestId, service, 1),
        other: () => faultRequest(requestId, service, 2),
        effect: async () => (await faultsOf(service)).map(({ percent }) => percent),
        once: [1],
      };
    },
  },
  deleteTrafficFault: {
    callers: () => [operator],
    async prepare(_, requestId) {
      const service = await newService();
      for (const percent of [1, 2])
        await traffic().createTrafficFault(faultRequest(newRequestId(), service, percent), call());
      const [first, second] = (await faultsOf(service)).map(({ faultId }) => faultId);
      return {
        request: { requestId, faultId: first ?? "" },
        other: () => ({ requestId, faultId: second ?? "" }),
        effect: async () => (await faultsOf(service)).map(({ percent }) => percent),
        once: [2],
      };
    },
  },
});

testOnce(CertificateService, () => control.mesh, {
  rotateAuthority: {
    callers: () => [operator],
    async prepare(_, requestId) {
      // What the test before has begun is brought to its end.
      await control.advance(INTRODUCE_MIN_MS);
      await control.advance(CERTIFICATE_LIFETIME_MS + CLOCK_SKEW_MS);
      const newest = async () => (await authorities()).map(({ generation }) => generation).at(-1) ?? 0n;
      const before = await newest();
      return {
        request: { requestId },
        effect: async () => (await newest()) - before,
        once: 1n,
      };
    },
  },
});

let services = 0;

/** A service that is registered, for the request of one test. */
async function newService(): Promise<string> {
  services += 1;
  const service = `service-${services}`;
  await control.register({ service, name: service });
  return service;
}

const call = () => control.call("operator");
const traffic = () => control.mesh.mesh("operator").client(TrafficService);
const newRequestId = () => crypto.randomUUID();

async function authorities() {
  const client = control.mesh.mesh("operator").client(CertificateService);
  return (await client.listAuthorities({}, call())).authorities;
}

/** A split that is told from others by its header. */
function split(number: number): TrafficSplit {
  return {
    headerMatches: [{ header: "x-number", value: String(number), version: "v1" }],
    weights: [{ version: "v1", percent: 100 }],
  };
}

function setRequest(requestId: string, service: string, given: TrafficSplit): SetTrafficSplitRequest {
  return { requestId, service, split: given, timeToLive: undefined };
}

async function set(service: string, given: TrafficSplit): Promise<void> {
  await traffic().setTrafficSplit(setRequest(newRequestId(), service, given), call());
}

function faultRequest(requestId: string, service: string, percent: number): CreateTrafficFaultRequest {
  const fault = { faultId: "", callers: [], methods: [], percent, delay: undefined, statusCode: 14 };
  return { requestId, service, fault, timeToLive: undefined };
}

async function rulesOf(wanted: readonly string[]) {
  const { rules } = await traffic().listTrafficRules({}, call());
  return rules.filter(({ service }) => wanted.includes(service));
}

async function splitsOf(wanted: readonly string[]): Promise<readonly TrafficSplit[]> {
  return (await rulesOf(wanted)).flatMap(({ effect }) => (effect?.$case === "split" ? [effect.value] : []));
}

async function faultsOf(service: string) {
  return (await rulesOf([service])).flatMap(({ effect }) => (effect?.$case === "fault" ? [effect.value] : []));
}
