import { afterAll, beforeAll } from "vitest";
import { SupervisorService } from "#gen/mesh/supervisor/v1/supervisor_service.contract.ts";
import { testOnce, workload } from "#testing/once.ts";
import { startTestSupervisor, type TestSupervisor, wellBehavedService } from "../testing/test-supervisor.ts";

let supervisor: TestSupervisor;
let builds = 1;

beforeAll(async () => {
  supervisor = await startTestSupervisor();
});

afterAll(() => supervisor.close());

const callers = () => [workload("operator")] as const;

/** How many processes were started and ended since, and what there is. */
function effects(): () => Promise<unknown> {
  const count = (text: RegExp): number => supervisor.output.text().match(text)?.length ?? 0;
  const started = (): number => count(/(cart-\d|control) is ready/g);
  const ended = (): number => count(/asked to end/g);
  const before = { started: started(), ended: ended() };
  return async () => ({ started: started() - before.started, ended: ended() - before.ended });
}

/** One instance, and nothing else of the service. */
async function oneInstance(): Promise<void> {
  const { client, call } = supervisor;
  await client.endCanary({ requestId: crypto.randomUUID(), service: "cart" }, call());
  await client.scaleService({ requestId: crypto.randomUUID(), service: "cart", instances: 1 }, call());
}

function build(): { readonly version: string; readonly programsDir: string } {
  builds += 1;
  const version = `v${builds}`;
  supervisor.built.write("cart", wellBehavedService(version));
  return { version, programsDir: "" };
}

const canary = (requestId: string) => ({ requestId, service: "cart", release: build(), percent: 10, headers: [] });

testOnce(SupervisorService, () => supervisor.mesh, {
  scaleService: {
    callers,
    async prepare(_, requestId) {
      await oneInstance();
      const request = { requestId, service: "cart", instances: 3 };
      const once = { started: 2, ended: 0 };
      return { request, other: () => ({ ...request, instances: 2 }), effect: effects(), once };
    },
  },
  restartService: {
    callers,
    async prepare(_, requestId) {
      await oneInstance();
      const request = { requestId, name: "cart" };
      return {
        request,
        other: () => ({ ...request, name: "control" }),
        effect: effects(),
        once: { started: 1, ended: 1 },
      };
    },
  },
  rolloutService: {
    callers,
    async prepare(_, requestId) {
      await oneInstance();
      const request = { requestId, service: "cart", release: build() };
      const other = () => ({ ...request, release: { version: "other", programsDir: "" } });
      return { request, other, effect: effects(), once: { started: 1, ended: 1 } };
    },
  },
  startCanary: {
    callers,
    async prepare(_, requestId) {
      await oneInstance();
      const request = canary(requestId);
      return { request, other: () => ({ ...request, percent: 20 }), effect: effects(), once: { started: 1, ended: 0 } };
    },
  },
  endCanary: {
    callers,
    async prepare(_, requestId) {
      await oneInstance();
      await supervisor.client.startCanary(canary(crypto.randomUUID()), supervisor.call());
      const request = { requestId, service: "cart" };
      const once = { started: 0, ended: 1 };
      return { request, other: () => ({ ...request, service: "gateway" }), effect: effects(), once };
    },
  },
});
