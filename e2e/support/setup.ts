import { execFile } from "node:child_process";
import { chmod, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { removeFolder } from "#testing/folders.ts";
import { findFreePorts } from "../../cli/checks/ports.ts";
import { readSettings } from "../../cli/settings.ts";
import { type Shop, startShop } from "../../cli/shop.ts";
import { type CapturedOutput, captureOutput } from "../../cli/testing/programs.ts";

const run = promisify(execFile);

export const projectDir = fileURLToPath(new URL("../../", import.meta.url));
/** Where the built programs are. */
export const programsDir = new URL("../../dist/", import.meta.url);

/** Where a shop of a test lives. */
export interface ShopPlace {
  readonly dataDir: string;
  readonly port: number;
  /** Removes all of it. */
  remove(): Promise<void>;
}

/** Builds the programs that `npm start` runs. */
export async function buildPrograms(): Promise<void> {
  await run(process.execPath, ["build.mjs"], { cwd: projectDir });
}

/** A free port and an empty folder. */
export async function newPlace(): Promise<ShopPlace> {
  const dir = await mkdtemp(join(tmpdir(), "shopmesh-e2e-"));
  // PostgreSQL does not run as root, so when we do, another user must get through.
  await chmod(dir, 0o711);
  const [port = 0] = await findFreePorts(1);
  return { dataDir: join(dir, "data"), port, remove: () => removeFolder(dir) };
}

/** The real thing, with `npm start`'s own code; `env` says how the payment gateway misbehaves. */
export async function startShopAt(
  place: ShopPlace,
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly shop: Shop; readonly output: CapturedOutput }> {
  const output = captureOutput();
  const settings = readSettings({}, { port: String(place.port), data: place.dataDir });
  return {
    shop: await startShop({
      ...settings,
      output,
      programsDir,
      env: { ...process.env, SHOPMESH_COURIER: "off", ...env },
    }),
    output,
  };
}
