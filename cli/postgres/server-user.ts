import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";

/** The system user that PostgreSQL runs as; undefined for the user that we run as. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

const USER_NAME = "postgres";
const run = promisify(execFile);

/**
 * Who is to run the server. PostgreSQL refuses root, so root hands it to the owner of the cluster that is there, or for
 * a new one to the system user `postgres`, who is made if there is none.
 */
export async function serverUser(clusterDir: string): Promise<ServerUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(clusterDir).catch(() => undefined);
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  return (await lookUp(USER_NAME)) ?? (await create(USER_NAME));
}

async function lookUp(name: string): Promise<ServerUser | undefined> {
  try {
    const [uid, gid] = await Promise.all([run("id", ["-u", name]), run("id", ["-g", name])]);
    return { uid: Number.parseInt(uid.stdout, 10), gid: Number.parseInt(gid.stdout, 10) };
  } catch {
    return undefined;
  }
}

async function create(name: string): Promise<ServerUser> {
  const made = await run("useradd", [
    "--system",
    "--user-group",
    "--no-create-home",
    "--shell",
    "/bin/false",
    name,
  ]).then(
    () => undefined,
    (error: unknown) => error,
  );
  // Looked up in any case: another process may have made the user at the same time.
  const user = await lookUp(name);
  if (user === undefined) {
    throw new Error(
      `PostgreSQL does not run as root, and the system user "${name}" could not be made for it: ` +
        "run as another user, or set SHOPMESH_POSTGRES_URL to a server of your own",
      { cause: made },
    );
  }
  return user;
}

/**
 * The outermost folder on the way to `path` that `user` may not enter, if there is one. By the permission bits alone,
 * so it serves to explain a failure, not to foretell one.
 */
export async function blockingFolder(path: string, user: ServerUser): Promise<string | undefined> {
  const parent = dirname(path);
  if (parent !== path) {
    const above = await blockingFolder(parent, user);
    if (above !== undefined) return above;
  }
  const info = await stat(path).catch(() => undefined);
  if (info === undefined || !info.isDirectory()) return undefined;
  const shift = info.uid === user.uid ? 6 : info.gid === user.gid ? 3 : 0;
  return ((info.mode >> shift) & 1) === 1 ? undefined : path;
}
