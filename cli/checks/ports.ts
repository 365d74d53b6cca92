import { randomInt } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { createServer } from "node:net";
import { codeOf, messageOf, OperatorError } from "../operator-error.ts";

export const loopback = "127.0.0.1";

// Below the ranges from which Linux (32768 up) and macOS (49152 up) take ports for outgoing connections: a service
// that is started again must find its port as it left it, and above, any connection could have it by then.
const firstPort = 20_000;
const lastPort = 32_767;
const mostProbes = 500;

/** Checks that the public port can be listened on. Throws OperatorError with one line that says what to do. */
export async function checkPublicPort(port: number): Promise<void> {
  const error = await tryListen(port);
  if (error === undefined) return;
  if (codeOf(error) === "EADDRINUSE") {
    throw new OperatorError(`port ${port} is in use; choose another with SHOPMESH_PORT=…`, { cause: error });
  }
  if (codeOf(error) === "EACCES") {
    const rule = "the system keeps it for privileged users";
    throw new OperatorError(`port ${port} can't be opened, ${rule}; choose another with SHOPMESH_PORT=…`, {
      cause: error,
    });
  }
  throw new OperatorError(`port ${port} can't be opened (${messageOf(error)}); choose another with SHOPMESH_PORT=…`, {
    cause: error,
  });
}

/**
 * Finds so many different loopback ports that are free now, each fit to be used again after a restart, and keeps them for
 * this process: between the look and the start of the program that listens there is time enough for another shop on this
 * machine to choose the same. A port is kept by a UDP socket of the same number, in nobody's way but that of others who
 * look here; the kernel frees it when this process ends, however that comes about.
 */
export async function findFreePorts(count: number): Promise<readonly number[]> {
  const found: number[] = [];
  for (let probe = 0; probe < mostProbes && found.length < count; probe++) {
    const port = randomInt(firstPort, lastPort + 1);
    const hold = await tryHold(port);
    if (hold === undefined) continue;
    if ((await tryListen(port)) === undefined) {
      held.set(port, hold);
      found.push(port);
    } else {
      hold.close();
    }
  }
  if (found.length < count) throw new OperatorError(`no ${count} free ports between ${firstPort} and ${lastPort}`);
  return found;
}

/** Gives a port back that `findFreePorts` found. */
export function releasePort(port: number): void {
  held.get(port)?.close();
  held.delete(port);
}

const held = new Map<number, Socket>();

function tryHold(port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4").unref();
    socket.once("error", () => socket.close(() => resolve(undefined)));
    socket.bind({ address: loopback, port, exclusive: true }, () => resolve(socket));
  });
}

function tryListen(port: number): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", resolve);
    server.listen({ host: loopback, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}
