import { randomInt } from "node:crypto";
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

/** Finds so many different loopback ports that are free now, each fit to be used again after a restart. */
export async function findFreePorts(count: number): Promise<readonly number[]> {
  const found = new Set<number>();
  for (let probe = 0; probe < mostProbes && found.size < count; probe++) {
    const port = randomInt(firstPort, lastPort + 1);
    if (!found.has(port) && (await tryListen(port)) === undefined) found.add(port);
  }
  if (found.size < count) throw new OperatorError(`no ${count} free ports between ${firstPort} and ${lastPort}`);
  return [...found];
}

function tryListen(port: number): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", resolve);
    server.listen({ host: loopback, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}
