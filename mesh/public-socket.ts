import type { ChildProcess } from "node:child_process";
import { lookup } from "node:dns/promises";
import * as net from "node:net";
import { getSystemErrorMap } from "node:util";

/**
 * The socket of a public address, held by a process that accepts nothing on it, and handed to those that do. While any
 * process holds it, nobody is refused: connections wait until one accepts them.
 */
export interface PublicSocket {
  readonly port: number;
  /** Hands it to a child that was started with IPC, and waits for it with `receivePublicSocket`. Before or after that. */
  handTo(child: Pick<ChildProcess, "send">): void;
  /** Lets go of it. Children keep theirs. */
  close(): void;
}

/** What tells a child that the handle which comes with it is the public socket. */
const LISTEN = "listen";

/** How long a parent has to hand the socket over. */
const HAND_OVER_TIMEOUT_MS = 10_000;

/**
 * Takes an address, without listening on it: whoever is handed the socket does. `port` 0 takes any free one. Rejects with
 * the system's error when the address cannot be had.
 *
 * By the function with which Node's own cluster module makes such sockets: a `net.Server` of the holder would accept
 * connections itself, and there is no public way to keep it from that.
 */
export async function bindPublicSocket({ host, port }: { host: string; port: number }): Promise<PublicSocket> {
  const { address, family } = await lookup(host);
  const bind: unknown = Reflect.get(net, "_createServerHandle");
  if (typeof bind !== "function") throw new TypeError("this version of Node makes no sockets to be handed over");
  const handle: unknown = bind(address, port, family);
  if (typeof handle === "number") throw systemError(handle, address, port);
  if (!isHandle(handle)) throw new TypeError("this version of Node makes sockets of another kind");
  const name: { port?: number } = {};
  // An address that is in use is not noticed before it is asked for.
  const failure = handle.getsockname(name);
  if (failure !== 0 || name.port === undefined) {
    handle.close();
    throw systemError(failure, address, port);
  }
  return {
    port: name.port,
    handTo(child) {
      // Node sends such handles; its types do not know them.
      child.send({ type: LISTEN }, handle as unknown as net.Server);
    },
    close: () => handle.close(),
  };
}

/** Waits for the socket that a parent hands over: a value for `net.Server.listen`. Rejects when none comes in time. */
export function receivePublicSocket(timeoutMs: number = HAND_OVER_TIMEOUT_MS): Promise<object> {
  return new Promise((resolve, reject) => {
    const take = (message: unknown, handle: unknown): void => {
      if (!isListen(message) || typeof handle !== "object" || handle === null) return;
      stop();
      resolve(handle);
    };
    const stop = (): void => {
      clearTimeout(timer);
      process.off("message", take);
      process.off("disconnect", giveUp);
    };
    const giveUp = (): void => {
      stop();
      reject(new Error("no public socket was handed over by the process that started this one"));
    };
    const timer = setTimeout(giveUp, timeoutMs);
    process.on("message", take);
    process.once("disconnect", giveUp);
  });
}

function isListen(message: unknown): boolean {
  return typeof message === "object" && message !== null && Reflect.get(message, "type") === LISTEN;
}

interface Handle {
  getsockname(into: { port?: number }): number;
  close(): void;
}

function isHandle(value: unknown): value is Handle {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof Reflect.get(value, "getsockname") === "function" &&
    typeof Reflect.get(value, "close") === "function"
  );
}

function systemError(code: number, address: string, port: number): NodeJS.ErrnoException {
  const [name, description] = getSystemErrorMap().get(code) ?? [`error ${code}`, "unknown"];
  const error = new Error(`bind ${name} ${address}:${port}: ${description}`);
  return Object.assign(error, { code: name, errno: code, syscall: "bind", address, port });
}
