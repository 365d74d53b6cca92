import { cp, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { programsDir, projectDir } from "../support/setup.ts";

/** Builds of catalog with which something is wrong, each in a folder as a rollout wants it. */
export interface BrokenPrograms {
  /** Ends at its start. */
  readonly crashing: string;
  /** Takes calls and fails them all. */
  readonly failing: string;
}

/** Makes them in a folder of their own, beside what programs take from the project: its packages and its contracts. */
export async function makeBrokenPrograms(folder: string): Promise<BrokenPrograms> {
  await mkdir(folder);
  for (const name of ["node_modules", "gen"]) await symlink(join(projectDir, name), join(folder, name));
  const crashing = join(folder, "crashing");
  const failing = join(folder, "failing");
  for (const dir of [crashing, failing]) await copyPrograms(dir);
  const crash = 'console.error("this build crashes, on purpose");\nprocess.exit(1);\n';
  await writeFile(join(crashing, catalogProgram), crash);
  await build({
    entryPoints: [fileURLToPath(new URL("./failing-catalog.fixture.ts", import.meta.url))],
    outfile: join(failing, catalogProgram),
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    banner: { js: banner },
    logLevel: "warning",
    allowOverwrite: true,
  });
  return { crashing, failing };
}

const catalogProgram = "services/catalog/main.js";

/** As build.mjs has it: what packages written as CommonJS ask for. */
const banner = [
  'import { createRequire as shopmeshCreateRequire } from "node:module";',
  "const require = shopmeshCreateRequire(import.meta.url);",
].join("\n");

async function copyPrograms(folder: string): Promise<void> {
  await cp(fileURLToPath(programsDir), folder, { recursive: true });
}
