import { execFile } from "node:child_process";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { findFreePorts } from "../../cli/checks/ports.ts";
import { type DataFolder, dataFolder } from "../../cli/data/folder.ts";
import { type RunState, readRunState } from "../../cli/data/run-file.ts";
import { loadSecrets } from "../../cli/data/secrets.ts";
import { readSettings, type Settings } from "../../cli/settings.ts";
import { type Shop, startShop } from "../../cli/shop.ts";
import type { BooksSource } from "../audit/read-books.ts";

/** A process to look at. */
export interface Watched {
  readonly name: string;
  readonly pid: number;
}

/** A shop in a folder of its own, on ports of its own. */
export interface OwnShop {
  readonly shop: Shop;
  readonly state: RunState;
  /** Where its records are. */
  readonly source: BooksSource;
  /** The processes of the shop as they are now; the supervisor, which is this very process, is not among them. */
  processes(): Promise<readonly Watched[]>;
}

export interface StartOptions {
  readonly dataDir: string;
  readonly programsDir: URL;
  readonly signal: AbortSignal;
}

export const root = new URL("../../", import.meta.url);
export const builtPrograms = new URL("dist/", root);

/** Builds the programs where the sources are newer. */
export async function build(): Promise<void> {
  await promisify(execFile)(process.execPath, ["build.mjs", "--quiet"], { cwd: fileURLToPath(root) });
}

/** Makes a folder, gives it to the work, and removes it in any case, but if it is to be kept. */
export async function withTemporaryFolder<T>(keep: boolean, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "shopmesh-bench-"));
  // PostgreSQL runs as a user of its own when we are root, and must be able to pass through.
  await chmod(folder, 0o711);
  try {
    return await work(folder);
  } finally {
    if (keep) console.log(`\nkept: ${folder}`);
    else await rm(folder, { recursive: true, force: true });
  }
}

/** Starts the shop, gives it to the work, and stops it in any case. Rejects when it fails meanwhile. */
export async function withShop<T>(options: StartOptions, work: (bench: OwnShop) => Promise<T>): Promise<T> {
  const lines: string[] = [];
  const output = { colour: false, write: (text: string): void => void lines.push(text) };
  let shop: Shop | undefined;
  try {
    const env = { ...process.env, SHOPMESH_COURIER: "off" };
    shop = await startShop({ ...(await settingsFor(options.dataDir)), output, ...options, env });
    const bench = await describe(shop, options.dataDir);
    const failed = shop.failed.then((error) => Promise.reject(error));
    return await Promise.race([work(bench), failed]);
  } catch (error) {
    console.error(lines.slice(-lastLines).join(""));
    throw error;
  } finally {
    await shop?.stop();
  }
}

const lastLines = 40;

async function settingsFor(dataDir: string): Promise<Settings> {
  const [port = 0] = await findFreePorts(1);
  return { ...readSettings({}, { data: dataDir }), port };
}

async function describe(shop: Shop, dataDir: string): Promise<OwnShop> {
  const read = async (): Promise<RunState> => {
    const state = await readRunState(dataFolder(dataDir));
    if (state === undefined) throw new Error(`nothing runs in ${dataDir}`);
    return state;
  };
  const state = await read();
  return {
    shop,
    state,
    source: await sourceOf(dataFolder(dataDir), state),
    processes: async () => (await read()).processes.map(({ name, pid }) => ({ name, pid })),
  };
}

/** The records of a shop that runs on a PostgreSQL of its own. */
async function sourceOf({ postgresDir, secretsFile }: DataFolder, { processes }: RunState): Promise<BooksSource> {
  const portOf = (wanted: string): number => processes.find(({ name }) => name === wanted)?.port ?? 0;
  const password = (await readFile(join(postgresDir, "password"), "utf8")).trim();
  return {
    adminUrl: `postgres://postgres:${password}@127.0.0.1:${portOf("postgres")}/postgres`,
    prefix: readSettings({}).postgresPrefix,
    gatewayUrl: `http://127.0.0.1:${portOf("payment-gateway")}`,
    gatewayKey: loadSecrets(secretsFile, []).simulatorKey,
  };
}
