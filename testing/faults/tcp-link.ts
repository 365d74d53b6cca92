import { connect, createServer, type Server, type Socket } from "node:net";
import type { LinkOptions } from "./grpc-link.ts";

/** Passes bytes on, whatever they mean. */
export function tcpLink({ upstream, gate }: Pick<LinkOptions, "upstream" | "gate">): Server {
  const passOn = (from: Socket, to: Socket): void => {
    from.on("data", (chunk) => {
      from.pause();
      void gate.passed().then(() => to.write(chunk, () => from.resume()));
    });
    from.on("error", () => {});
    from.on("end", () => to.end());
    from.on("close", () => to.destroy());
  };
  return createServer({ noDelay: true }, (socket) => {
    const { hostname, port } = new URL(`tcp://${upstream()}`);
    const callee = connect({ host: hostname, port: Number(port), noDelay: true });
    passOn(socket, callee);
    passOn(callee, socket);
  });
}
