import { createHash } from "node:crypto";
import { mkdir, readdir, realpath, rm } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FRESH, StateFileError } from "./state-file.ts";

/** The folder with the files of a control plane, held by this process alone. */
export interface Folder {
  readonly path: string;
  release(): Promise<void>;
}

/**
 * Takes the folder, and makes it when there is none. Throws a `StateFileError` when another process holds it: two control
 * planes that wrote the same files would each undo what the other one promised.
 *
 * It is held by listening on a local socket of its name, which the system closes with the process, however that ends.
 */
export async function takeFolder(path: string): Promise<Folder> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const address = await lockAddress(path);
  const lock = (await tryListen(address)) ?? (await takeOver(address));
  if (lock === undefined) {
    throw new StateFileError(`another control plane runs on ${path}; stop it first, or set SHOPMESH_CONTROL_DATA`);
  }
  // What a process left that was killed while it wrote.
  const left = (await readdir(path)).filter((name) => name.endsWith(FRESH));
  await Promise.all(left.map((name) => rm(join(path, name), { force: true })));
  return { path, release: () => close(lock) };
}

/** Linux and Windows have names that vanish with their holder; elsewhere the name is a file, which may be left over. */
async function lockAddress(path: string): Promise<string> {
  const name = `shopmesh-control-${createHash("sha256")
    .update(await realpath(path))
    .digest("hex")
    .slice(0, 32)}`;
  if (process.platform === "linux") return `\0${name}`;
  return process.platform === "win32" ? `\\\\.\\pipe\\${name}` : join(tmpdir(), `${name}.sock`);
}

/** Undefined when somebody holds the address, or left it. */
function tryListen(address: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.on("error", (error) => (Reflect.get(error, "code") === "EADDRINUSE" ? resolve(undefined) : reject(error)));
    server.listen({ path: address }, () => resolve(server.unref()));
  });
}

/** Takes an address whose holder is dead: nobody answers there. */
async function takeOver(address: string): Promise<Server | undefined> {
  if (!address.endsWith(".sock") || (await isAnswered(address))) return undefined;
  await rm(address, { force: true });
  return tryListen(address);
}

function isAnswered(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path: address });
    const end = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.on("connect", () => end(true));
    socket.on("error", () => end(false));
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
