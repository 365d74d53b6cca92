import { SupervisorService } from "#gen/mesh/supervisor/v1/supervisor_service.contract.ts";
import { type Process, ProcessState } from "#gen/mesh/supervisor/v1/supervisor_service.ts";
import { CertificateService } from "#gen/mesh/v1/certificate_service.contract.ts";
import { InstanceState } from "#gen/mesh/v1/instance.ts";
import { RegistryService } from "#gen/mesh/v1/registry_service.contract.ts";
import type { RegisteredInstance } from "#gen/mesh/v1/registry_service.ts";
import { TrafficService } from "#gen/mesh/v1/traffic_service.contract.ts";
import { type Handlers, implement } from "#mesh/contract/contract.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { runCommand } from "../command.ts";
import type { CommandContext } from "../invocation.ts";
import { captureOutput } from "./programs.ts";

/** What a supervisor and a control plane answer in a test. Whatever is left out is not expected to be asked. */
export interface FakeAnswers {
  readonly supervisor?: Partial<Handlers<typeof SupervisorService>>;
  readonly registry?: Partial<Handlers<typeof RegistryService>>;
  readonly traffic?: Partial<Handlers<typeof TrafficService>>;
  readonly certificates?: Partial<Handlers<typeof CertificateService>>;
}

/** A supervisor and a control plane with these answers, on real sockets. A part without answers does not run. */
export function startFakeShop({ supervisor, ...control }: FakeAnswers): Promise<TestMesh> {
  const hasControl = Object.values(control).some((answers) => answers !== undefined);
  return startTestMesh({
    ...(supervisor === undefined
      ? {}
      : { supervisor: () => [implement(SupervisorService, { ...noSupervisor, ...supervisor })] }),
    ...(hasControl
      ? {
          control: () => [
            implement(RegistryService, { ...noRegistry, ...control.registry }),
            implement(TrafficService, { ...noTraffic, ...control.traffic }),
            implement(CertificateService, { ...noCertificates, ...control.certificates }),
          ],
        }
      : {}),
  });
}

/** What a command said, and its exit code. */
export interface Ran {
  readonly code: number;
  readonly text: string;
  readonly errors: string;
}

/** Runs a command as the operator of a fake shop. */
export async function runIn(
  mesh: TestMesh | undefined,
  args: readonly string[],
  given: Partial<CommandContext> = {},
): Promise<Ran> {
  const output = captureOutput();
  const errors = captureOutput();
  const code = await runCommand(args, {
    ...{ env: {}, output, errors, programsDir: new URL("file:///nowhere/"), version: "test" },
    interrupt: () => ({ signal: new AbortController().signal, close: () => undefined }),
    ...(mesh === undefined ? {} : { openMesh: () => mesh.mesh("operator") }),
    ...given,
  });
  return { code, text: output.text(), errors: errors.text() };
}

export function aProcess(name: string, changes: Partial<Process> = {}): Process {
  return {
    ...{ name, service: name.replace(/-\d+$/, ""), version: "v1", pid: 4711, state: ProcessState.READY, restarts: 0 },
    ...{ lastExit: "", startTime: new Date(0), canary: false },
    ...changes,
  };
}

/** A supervisor's answer to which processes there are. */
export function runningProcesses(...processes: readonly Process[]) {
  return async () => ({ processes });
}

export function anInstance(name: string, changes: Partial<RegisteredInstance> = {}): RegisteredInstance {
  const service = name.replace(/-\d+$/, "");
  return {
    instance: { name, service, version: "v1", host: "127.0.0.1", port: 4001, startTime: new Date(0) },
    state: InstanceState.SERVING,
    stats: { callsTotal: 10n, callsFailed: 1n, callsShed: 2n, callsRunning: 3n, concurrencyLimit: 64n },
    registerTime: new Date(0),
    reportTime: new Date(1_000),
    ...changes,
  };
}

const notAsked = async (): Promise<never> => {
  throw new Error("nobody should ask for this");
};

// biome-ignore lint/correctness/useYield: nothing comes of it
async function* notStreamed(): AsyncGenerator<never> {
  throw new Error("nobody should ask for this");
}

const noSupervisor: Handlers<typeof SupervisorService> = {
  ...{ listProcesses: notAsked, scaleService: notAsked, restartService: notAsked, rolloutService: notStreamed },
  ...{ startCanary: notAsked, endCanary: notAsked },
};
const noRegistry: Handlers<typeof RegistryService> = { register: notStreamed, listInstances: notAsked };
const noTraffic: Handlers<typeof TrafficService> = {
  ...{ setTrafficSplit: notAsked, clearTrafficSplit: notAsked, createTrafficFault: notAsked },
  ...{ deleteTrafficFault: notAsked, listTrafficRules: notAsked },
};
const noCertificates: Handlers<typeof CertificateService> = {
  ...{ joinMesh: notAsked, renewCertificate: notAsked, rotateAuthority: notAsked, listAuthorities: notAsked },
};
