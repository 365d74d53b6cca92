import { performance } from "node:perf_hooks";
import { systemClock } from "#mesh/clock.ts";
import type { MeshNode, RunningServer } from "#mesh/mesh.ts";
import {
  type ProbeHandlers,
  ProbeService,
  probeDescriptors,
  probeHandlers,
  probeRequest,
} from "#mesh/rpc/probe.fixture.ts";
import { createLogger } from "#mesh/telemetry/log.ts";
import { removeFolder, temporaryFolder } from "#testing/folders.ts";
import { createTestNode } from "#testing/mesh.ts";
import { CONTROL_LIMITS, CONTROL_SHUTDOWN_BOUNDS, openControl } from "../control.ts";

const controlOptions = {
  clock: systemClock,
  monotonicMs: () => performance.now(),
  joinSecret: "0".repeat(64),
  certificateLifetimeMs: 3_600_000,
};
/** None of these tests is about too many calls at once. */
const roomy = { minConcurrentCalls: 1_000, maxConcurrentCalls: 1_000 };
const log = createLogger({ workload: "test", instance: "1", version: "test", level: "silent" });
const parts = { ...roomy, log, descriptors: probeDescriptors };

/** The probe service, with time enough for a busy machine. */
const { change, ...methods } = ProbeService.methods;
const PatientProbe = { ...ProbeService, methods: { ...methods, change: { ...change, deadlineMs: 20_000 } } } as const;

/** A control plane in real time, and processes of a mesh that find each other by it alone. */
export interface Members {
  /** Starts an instance of the probe service. */
  serve(instance: string, handlers: ProbeHandlers, version?: string): Promise<RunningServer>;
  /** Starts one that is not registered. */
  serveUnknown(handlers: ProbeHandlers): Promise<RunningServer>;
  /** A process that knows others by control alone. */
  node(workload: string, instance?: string): MeshNode;
  /** Ends control, as SIGTERM does. */
  stopControl(): Promise<void>;
  /** Starts it again, on the same port and folder. */
  startControl(): Promise<void>;
  close(): Promise<void>;
}

export async function startMembers(): Promise<Members> {
  const dataDir = await temporaryFolder();
  const closers: (() => unknown)[] = [];
  let control: { readonly port: number; readonly close: () => Promise<void> } | undefined;
  let port = 0;

  const startControl = async (): Promise<void> => {
    const opened = await openControl({ ...controlOptions, dataDir, log });
    const bounds = { shutdownBounds: CONTROL_SHUTDOWN_BOUNDS, limits: CONTROL_LIMITS };
    const node = createTestNode("control", { log, ...bounds }, port);
    const server = await node.serve({ services: opened.services, close: opened.close });
    port = server.port;
    const close = async (): Promise<void> => {
      opened.freeze();
      await server.close();
    };
    control = { port, close };
  };
  const stopControl = async (): Promise<void> => {
    await control?.close();
    control = undefined;
  };
  const node = (workload: string, instance = "1", version = "v1"): MeshNode => {
    const settings = { control: `127.0.0.1:${port}`, instance, version };
    const made = createTestNode(workload, { ...parts, startupGraceMs: 0 }, 0, settings);
    closers.push(() => made.close());
    return made;
  };

  const serve = async (made: MeshNode, handlers: ProbeHandlers): Promise<RunningServer> => {
    const server = await made.serve({
      services: [{ contract: PatientProbe, handlers: probeHandlers(handlers) }],
    });
    closers.push(() => server.close());
    return server;
  };

  await startControl();
  return {
    serve: (instance, handlers, version) => serve(node("probe", instance, version), handlers),
    serveUnknown(handlers) {
      return serve(createTestNode("probe", parts), handlers);
    },
    node: (workload, instance) => node(workload, instance),
    stopControl,
    startControl,
    async close() {
      for (const close of closers.reverse()) await close();
      await stopControl();
      await removeFolder(dataDir);
    },
  };
}

/** Calls that follow one another without a pause, on so many ways at once, until stopped. */
export interface SteadyCalls {
  /** How many there were of one. Throws when a call failed. */
  answers(text: string): number;
  readonly failures: readonly string[];
  stop(): Promise<void>;
}

/** Calls a method that may have effects: what fails is not tried again. The first failure ends all. */
export function callSteadily(caller: MeshNode, inFlight: number): SteadyCalls {
  const probe = caller.client(PatientProbe);
  const answers = new Map<string, number>();
  const failures: string[] = [];
  let stopped = false;
  const way = async (): Promise<void> => {
    while (!stopped && failures.length === 0) {
      const call = caller.background({ name: "test", timeoutMs: 20_000 });
      const answer = await probe.try.change(probeRequest(), call);
      call.done();
      if (answer.ok) answers.set(answer.value.text, (answers.get(answer.value.text) ?? 0) + 1);
      else failures.push(`${answer.error.reason}: ${answer.error.message}`);
    }
  };
  const ways = Promise.all(Array.from({ length: inFlight }, way));
  return {
    answers(text) {
      if (failures.length > 0) throw new Error(failures.join("\n"));
      return answers.get(text) ?? 0;
    },
    failures,
    async stop() {
      stopped = true;
      await ways;
    },
  };
}
