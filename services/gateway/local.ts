import { type Duplex, duplexPair } from "node:stream";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import type { ServicePair } from "#mesh/rpc/reflection.ts";

/** A gRPC server inside this process. */
export interface LocalServer {
  /** The caller's end of a new connection to it. */
  readonly open: () => Duplex;
  close(): void;
}

/** An answer is a few hundred descriptors at most; a question is a name. */
const MAX_QUESTION_BYTES = 64 * 1_024;

/**
 * Serves what the gateway answers itself, without a port that others could reach: each connection is a pair of
 * streams in memory.
 */
export function createLocalServer(services: readonly ServicePair[]): LocalServer {
  const server = new Server({ "grpc.enable_channelz": 0, "grpc.max_receive_message_length": MAX_QUESTION_BYTES });
  for (const { definition, implementation } of services) server.addService(definition, implementation);
  const credentials = ServerCredentials.createInsecure();
  const injector = server.createConnectionInjector(credentials);
  return {
    open() {
      const [near, far] = duplexPair();
      injector.injectConnection(far);
      return near;
    },
    close() {
      injector.destroy();
      server.forceShutdown();
    },
  };
}
