import { randomBytes, randomInt } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { FRESH, StateFileError } from "./state-file.ts";

/** The folder with the files of a control plane, held by this process alone. */
export interface Folder {
  readonly path: string;
  release(): Promise<void>;
}

/** How the name of a holder's socket ends. */
const HOLDER = ".holder";
/** Two that start in the same instant both see the other, and both step back; then they try again. */
const MAX_ATTEMPTS = 6;

/**
 * Takes the folder, and makes it when there is none. Throws a `StateFileError` when another process holds it: two control
 * planes that wrote the same files would each undo what the other one promised.
 *
 * Whoever wants the folder listens on a socket in it, under a name that nobody else has, and then looks around. Whoever
 * finds that another one is listened on takes its own away. So never do two hold the folder, and nobody must judge and
 * replace in one step: a socket whose process has ended, however that was, takes no connection and is rubbish to
 * everybody. The folder is its owner's alone, so that no other user of the machine can be in the way.
 */
export async function takeFolder(path: string): Promise<Folder> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const folder = await open(path, "r");
  try {
    const holder = await hold(path, folder);
    // What processes left that were killed while they wrote.
    const left = (await readdir(path)).filter((name) => name.endsWith(FRESH));
    await Promise.all(left.map((name) => rm(join(path, name), { force: true })));
    return { path, release: () => giveUp(holder) };
  } finally {
    await folder.close();
  }
}

interface Holder {
  readonly file: string;
  readonly server: Server;
}

async function hold(path: string, folder: FileHandle): Promise<Holder> {
  for (let attempt = 1; ; attempt += 1) {
    const own = `${randomBytes(8).toString("hex")}${HOLDER}`;
    const holder = await putDown(path, folder, own);
    if (holder !== undefined) {
      const others = (await readdir(path)).filter((name) => name.endsWith(HOLDER) && name !== own);
      const alive = await Promise.all(others.map((name) => isHeld(shortPath(path, folder, name))));
      if (!alive.includes(true)) {
        await Promise.all(others.map((name) => rm(join(path, name), { force: true })));
        return holder;
      }
      await giveUp(holder);
    }
    if (attempt === MAX_ATTEMPTS) {
      throw new StateFileError(`another control plane runs on ${path}; stop it first, or set SHOPMESH_CONTROL_DATA`);
    }
    await delay(randomInt(10, 100));
  }
}

/** Listens, and only then under the name that is looked for. Undefined when somebody who took the folder removed it. */
async function putDown(path: string, folder: FileHandle, name: string): Promise<Holder | undefined> {
  const fresh = `${name}${FRESH}`;
  const server = await listen(shortPath(path, folder, fresh));
  const file = join(path, name);
  try {
    await rename(join(path, fresh), file);
    return { file, server };
  } catch (error) {
    await giveUp({ file: join(path, fresh), server });
    if (isError(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** What a socket's address has room for, on the systems that have the least; a longer one would be cut off. */
const MAX_ADDRESS_BYTES = 103;

/** Linux knows the folder by a short name too, for a folder whose own is too long for the address of a socket. */
function shortPath(path: string, folder: FileHandle, name: string): string {
  const address = process.platform === "linux" ? `/proc/self/fd/${folder.fd}/${name}` : join(path, name);
  if (Buffer.byteLength(address) <= MAX_ADDRESS_BYTES) return address;
  throw new StateFileError(`${path} is too long a name for the folder of a control plane; set SHOPMESH_CONTROL_DATA`);
}

function listen(address: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.on("error", reject);
    server.listen({ path: address }, () => resolve(server.unref()));
  });
}

/** Whether a process listens there, be it one that is held still: only a refusal says that there is none. */
function isHeld(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path: address });
    const end = (held: boolean): void => {
      socket.destroy();
      resolve(held);
    };
    socket.on("connect", () => end(true));
    socket.on("error", (error) => end(!isError(error, "ECONNREFUSED") && !isError(error, "ENOENT")));
  });
}

async function giveUp({ file, server }: Holder): Promise<void> {
  await rm(file, { force: true });
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

function isError(error: unknown, code: string): boolean {
  return error instanceof Error && Reflect.get(error, "code") === code;
}
