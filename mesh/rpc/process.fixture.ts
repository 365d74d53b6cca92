import { setTimeout as delay } from "node:timers/promises";
import { readMeshConfig } from "#mesh/config.ts";
import { implement } from "#mesh/contract/contract.ts";
import { createMeshNode } from "#mesh/mesh.ts";
import { ProbeService, probeDescriptors, probeHandlers, probeResponse } from "./probe.fixture.ts";
import { endWhenLost, endWithProcess } from "./process-end.ts";

// A service as a process of its own, started by shutdown.test.ts. A call with the name `slow` tells the parent that it
// has begun, and then takes a while.

// What `createMesh` does, but with the contract of the probe.
const mesh = createMeshNode("probe", readMeshConfig(), { descriptors: probeDescriptors, onLost: endWhenLost });
const server = await mesh.serve({
  services: [
    implement(
      ProbeService,
      probeHandlers({
        async read({ name }) {
          if (name === "slow") {
            process.send?.({ type: "begun" });
            await delay(500);
          }
          return probeResponse({ text: name });
        },
      }),
    ),
  ],
  close: async () => {
    mesh.log.info("released");
  },
});
endWithProcess(server, mesh.log);
