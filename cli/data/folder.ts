import { accessSync, constants, mkdirSync } from "node:fs";
import { join } from "node:path";
import { codeOf, messageOf, OperatorError } from "../operator-error.ts";

/** Where things stand in a data folder. */
export interface DataFolder {
  readonly path: string;
  /** Who runs the shop that lives here (see lock.ts). */
  readonly lockDir: string;
  /** Passwords that outlive a run (see secrets.ts). */
  readonly secretsFile: string;
  /** What runs now (see run-file.ts). */
  readonly runFile: string;
  /** Present while a first catalogue is being loaded (see catalogue/sample.ts). */
  readonly loadingFile: string;
  readonly logsDir: string;
  readonly postgresDir: string;
  readonly simulatorDir: string;
  /** Mails as files (see simulators/mailbox). */
  readonly mailDir: string;
  /** The control plane's files (see services/control). */
  readonly controlDir: string;
  /** Copies of the programs that run (see releases/store.ts). */
  readonly releasesDir: string;
  /** The authorities of the mesh, for those who join. */
  readonly trustFile: string;
}

/** Names the parts of a data folder; touches nothing. */
export function dataFolder(path: string): DataFolder {
  return {
    path,
    lockDir: join(path, "lock"),
    secretsFile: join(path, "secrets.json"),
    runFile: join(path, "run.json"),
    loadingFile: join(path, "loading-sample"),
    logsDir: join(path, "logs"),
    postgresDir: join(path, "postgres"),
    simulatorDir: join(path, "payment-gateway"),
    mailDir: join(path, "mail"),
    controlDir: join(path, "control"),
    releasesDir: join(path, "releases"),
    trustFile: join(path, "control", "trust.pem"),
  };
}

/** Makes the folder where it is missing, and checks that it can be written. Throws OperatorError with one line. */
export function prepareDataFolder(folder: DataFolder): void {
  try {
    // Others may pass through, not look in: PostgreSQL's own user must reach its files when the shop runs as root.
    mkdirSync(folder.path, { recursive: true, mode: 0o711 });
    accessSync(folder.path, constants.W_OK | constants.X_OK);
    mkdirSync(folder.logsDir, { recursive: true, mode: 0o700 });
    mkdirSync(folder.simulatorDir, { recursive: true, mode: 0o700 });
    mkdirSync(folder.mailDir, { recursive: true, mode: 0o700 });
    mkdirSync(folder.controlDir, { recursive: true, mode: 0o700 });
    mkdirSync(folder.releasesDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    const choose = "choose another with SHOPMESH_DATA=…";
    throw new OperatorError(`data folder ${folder.path} can't be written (${reasonOf(error)}); ${choose}`, {
      cause: error,
    });
  }
}

function reasonOf(error: unknown): string {
  const known: Readonly<Record<string, string>> = {
    EACCES: "permission denied",
    EPERM: "not permitted",
    EROFS: "read-only file system",
    ENOTDIR: "part of the path is a file",
    EEXIST: "a file of that name is in the way",
    ENOSPC: "no space left",
  };
  const code = codeOf(error);
  return (code === undefined ? undefined : known[code]) ?? messageOf(error);
}
