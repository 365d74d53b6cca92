import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chown, mkdir, readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Binaries } from "./binaries.ts";
import type { ServerUser } from "./server-user.ts";

/** Where things are in a data folder: all of PostgreSQL's own files are in `clusterDir`. */
export interface DataFolder {
  readonly dataDir: string;
  readonly clusterDir: string;
  readonly passwordFile: string;
}

/** Makes the data folder if it is not there. Throws one plain line when it cannot be made. */
export async function openDataFolder(dataDir: string): Promise<DataFolder> {
  try {
    // The folders above keep the usual mode: the server's user must get through them.
    await mkdir(dirname(dataDir), { recursive: true });
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    const path = await realpath(dataDir);
    return { dataDir: path, clusterDir: join(path, "cluster"), passwordFile: join(path, "password") };
  } catch (error) {
    throw unusable(dataDir, error);
  }
}

/** The error for a data folder that cannot be used, in one line. */
export function unusable(dataDir: string, error: unknown): Error {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const reason = REASONS[code] ?? (error instanceof Error ? error.message : String(error));
  return new Error(`Cannot use the data folder ${dataDir}: ${reason}. Name another one with SHOPMESH_DATA.`, {
    cause: error,
  });
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "its file system is read-only",
  ENOSPC: "no space is left",
  ENOTDIR: "a part of its path is not a folder",
  EEXIST: "it is not a folder",
};

/** The password of the cluster's superuser. Makes the cluster first if there is none. */
export async function openCluster(
  folder: DataFolder,
  binaries: Binaries,
  options: { readonly user: ServerUser | undefined; readonly syncToDisk: boolean },
): Promise<string> {
  const { dataDir, clusterDir, passwordFile } = folder;
  if (await exists(clusterDir)) {
    return (
      await readFile(passwordFile, "utf8").catch((error: unknown) => {
        throw new Error(
          `The password of the database is missing from ${passwordFile}: put it back, or remove ${dataDir}`,
          {
            cause: error,
          },
        );
      })
    ).trim();
  }
  const password = randomBytes(32).toString("base64url");
  try {
    await rm(passwordFile, { force: true });
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
    if (options.user !== undefined) await chown(dataDir, options.user.uid, options.user.gid);
  } catch (error) {
    throw unusable(dataDir, error);
  }
  await makeCluster(folder, binaries, password, options);
  return password;
}

async function makeCluster(
  { dataDir, clusterDir }: DataFolder,
  binaries: Binaries,
  password: string,
  { user, syncToDisk }: { readonly user: ServerUser | undefined; readonly syncToDisk: boolean },
): Promise<void> {
  // Under another name until it is whole, so that a start that was cut short leaves nothing that looks like a cluster.
  const draft = `${clusterDir}.new`;
  const passwordDraft = `${clusterDir}.password`;
  await rm(draft, { recursive: true, force: true });
  await rm(passwordDraft, { force: true });
  // A file that the server's user can read: initdb takes a password from nowhere else.
  await writeFile(passwordDraft, password, { mode: 0o600 });
  try {
    if (user !== undefined) await chown(passwordDraft, user.uid, user.gid);
    const options = ["-D", draft, "--username=postgres", `--pwfile=${passwordDraft}`, "--auth=scram-sha-256"];
    // The same on every machine: order by code point, letters and cases by Unicode, whatever the system's locale is.
    options.push("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8");
    // A thousand small files: one call syncs them in half the time of syncing each, where there is such a call.
    if (!syncToDisk) options.push("--no-sync");
    else if (process.platform === "linux") options.push("--sync-method=syncfs");
    await runInitdb(binaries.initdb, options, { cwd: dataDir, user });
  } finally {
    await rm(passwordDraft, { force: true });
  }
  await rename(draft, clusterDir);
}

function runInitdb(
  initdb: string,
  args: readonly string[],
  { cwd, user }: { readonly cwd: string; readonly user: ServerUser | undefined },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(initdb, args, { ...user, cwd, env: serverEnv(), stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors += text;
    });
    child.on("error", (error) => reject(setupFailure(error.message, error)));
    child.on("close", (code) => {
      if (code === 0) return resolve();
      // The first line says what failed; what follows are hints, and notes on the cleaning up.
      const line = errors.split("\n").find((text) => text.includes("error:")) ?? errors.trim().split("\n").at(-1);
      reject(setupFailure(line ?? `initdb ended with code ${code}`, errors));
    });
  });
}

function setupFailure(reason: string, cause: unknown): Error {
  return new Error(`PostgreSQL could not set up its files: ${reason}`, { cause });
}

/** What PostgreSQL's programs see of our environment: nothing that would change what they do, and English messages. */
export function serverEnv(): Record<string, string> {
  return { PATH: process.env.PATH ?? "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: unknown) => {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
      throw unusable(path, error);
    },
  );
}
