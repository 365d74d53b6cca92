import type { Http2Server } from "node:http2";
import { implement } from "#mesh/contract/contract.ts";
import { parseAddress, plainCluster } from "#mesh/discovery/endpoints.ts";
import { movingEndpoints } from "#mesh/discovery/moving-endpoints.fixture.ts";
import type { MeshNode, MeshParts, RunningServer } from "#mesh/mesh.ts";
import { createLogger } from "#mesh/telemetry/log.ts";
import { startFaultProxy } from "#testing/fault-proxy.ts";
import { createTestNode, type LogLine } from "#testing/mesh.ts";
import { type ProbeHandlers, ProbeService, probeDescriptors, probeHandlers } from "./probe.fixture.ts";

// Several instances of one service, and callers that are told where they are.

/** What a test starts; all of it ends with `close`. */
export interface Instances {
  /** Some workload's part of the mesh, on any port unless told otherwise. */
  node(workload: string, given?: Partial<MeshParts> & { readonly port?: number }): MeshNode;
  /** An instance of the probe. */
  serve(handlers?: ProbeHandlers, port?: number): Promise<RunningServer>;
  /** An instance that `die` takes away as a crash does: its connections break, and nobody listens any more. */
  serveMortal(handlers?: ProbeHandlers): Promise<{ readonly address: string; die(): Promise<void> }>;
  /** What a caller that is the gateway would hold. */
  callerOf(addresses: readonly string[], given?: Partial<MeshParts>): MeshNode;
  close(): Promise<void>;
}

const silentLog = createLogger({ workload: "test", instance: "1", version: "test", level: "silent" });

export function createInstances(): Instances {
  const cleanUps: (() => unknown)[] = [];
  const node: Instances["node"] = (workload, { port = 0, ...parts } = {}) => {
    const defaults = { log: silentLog, descriptors: probeDescriptors, startupGraceMs: 0 };
    const made = createTestNode(workload, { ...defaults, ...parts }, port);
    cleanUps.push(() => made.close());
    return made;
  };
  const serve: Instances["serve"] = async (handlers = {}, port = 0) => {
    const services = [implement(ProbeService, probeHandlers(handlers))];
    const server = await node("probe", { port }).serve({ services });
    cleanUps.push(() => server.close());
    return server;
  };
  return {
    node,
    serve,
    async serveMortal(handlers) {
      const upstream = addressOf(await serve(handlers));
      const wire = await startFaultProxy({
        protocol: "tcp",
        caller: "test",
        callee: "probe",
        upstream: () => upstream,
      });
      let dead: Promise<void> | undefined;
      const die = (): Promise<void> => {
        dead ??= wire.close();
        return dead;
      };
      cleanUps.push(die);
      return { address: wire.address, die };
    },
    callerOf(addresses, given = {}) {
      return node("gateway", { endpoints: movingEndpoints(plainCluster(addresses.map(parseAddress))), ...given });
    },
    async close() {
      for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
    },
  };
}

export function addressOf({ host, port }: Pick<RunningServer, "host" | "port">): string {
  return `${host}:${port}`;
}

/** A log, and the lines that were written to it. */
export function keptLog(): { readonly log: MeshParts["log"]; readonly lines: readonly LogLine[] } {
  const lines: LogLine[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  return { log: createLogger({ workload: "test", instance: "1", version: "test", level: "info", destination }), lines };
}

/** Where a server of HTTP/2 listens. */
export function portOf(server: Pick<Http2Server, "address">): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening");
  return address.port;
}
