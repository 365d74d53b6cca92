import { staticEndpoints } from "#mesh/discovery/endpoints.ts";
import { receivePublicSocket } from "#mesh/public-socket.ts";
import { createCallStats } from "#mesh/rpc/call-stats.ts";
import { readDescriptors } from "#mesh/rpc/descriptors.ts";
import { endWithProcess } from "#mesh/rpc/process-end.ts";
import { createLogger } from "#mesh/telemetry/log.ts";
import { sourceOf } from "#testing/certificates.ts";
import { startGateway } from "./gateway.ts";
import { defaultLimits } from "./limits.ts";
import { noPayments } from "./testing/setup.ts";
import { toyContract } from "./testing/toy-backend.ts";

// A gateway as a process of its own, started by handover.test.ts with the address of a toy backend and with its certificates, on the public socket
// that the test holds.

const log = createLogger({ workload: "gateway", instance: "1", version: "test", level: "warn" });
const gateway = await startGateway({
  host: "127.0.0.1",
  port: 0,
  socket: await receivePublicSocket(),
  contracts: [toyContract],
  endpoints: staticEndpoints({ toy: [process.argv[2] ?? ""] }),
  payments: noPayments,
  certificates: sourceOf(JSON.parse(process.argv[3] ?? "")),
  descriptors: readDescriptors,
  stats: createCallStats(() => defaultLimits.maxCalls),
  log,
});
endWithProcess(gateway, log);
