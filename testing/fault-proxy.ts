import { once } from "node:events";
import type { AddressInfo, Server, Socket } from "node:net";
import type { ProxyIdentities } from "./faults/ends.ts";
import { createGate, type Intercept } from "./faults/exchange.ts";
import { grpcLink, type LinkOptions } from "./faults/grpc-link.ts";
import { httpLink } from "./faults/http-link.ts";
import { tcpLink } from "./faults/tcp-link.ts";

/** Stands between two programs, on a port of its own of 127.0.0.1, and breaks what passes as a test wants it broken. */
export interface FaultProxy {
  /** Where the caller is to go. */
  readonly address: string;
  /** Breaks every connection that there is. New ones can be made at once. */
  cut(): void;
  /** Holds up for so long whatever passes from now on. */
  stall(ms: number): void;
  /** Ends it, and every connection. */
  close(): Promise<void>;
}

export interface FaultProxyOptions {
  readonly protocol: "grpc" | "http" | "tcp";
  readonly caller: string;
  readonly callee: string;
  /** Where the callee is, now: asked for each connection. */
  readonly upstream: () => string;
  /** Not asked about plain TCP. */
  readonly intercept?: Intercept;
  /** Whom it passes for: wanted for gRPC, which goes over mutual TLS, and for nothing else. */
  readonly identities?: ProxyIdentities | undefined;
}

const links: Readonly<Record<FaultProxyOptions["protocol"], (options: LinkOptions) => Server>> = {
  grpc: grpcLink,
  http: httpLink,
  tcp: tcpLink,
};

/** Starts a proxy on any free port. */
export async function startFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const { protocol, intercept = () => "pass" } = options;
  const gate = createGate();
  const server = links[protocol]({ ...options, intercept, gate });
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A server that listens on TCP has an address of this form.
  const { port } = server.address() as AddressInfo;
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    address: `127.0.0.1:${port}`,
    cut,
    stall: gate.shut,
    async close() {
      gate.open();
      const closed = once(server, "close");
      server.close();
      cut();
      await closed;
    },
  };
}
