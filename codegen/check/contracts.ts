import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buf, compare, withGenerated } from "../generation.ts";
import { CONTRACT_PATHS, chooseBase } from "./base.ts";
import { runCommand } from "./command.ts";
import { sawSome } from "./runner.ts";

/** buf's rules of style and comments. */
export async function lintContracts(root: string): Promise<string> {
  await buf(root, ["lint"]);
  return countProtos(root);
}

/** Whether every proto is laid out as `buf format -w` would. */
export async function checkProtoFormat(root: string): Promise<string> {
  await buf(root, ["format", "--diff", "--exit-code"]);
  return countProtos(root);
}

/** Whether callers built against the contracts of the base can still call. Says what it compared with. */
export async function checkBreaking(root: string): Promise<string> {
  const base = await chooseBase(root);
  if (base.commit === undefined) return `nothing to compare with: ${base.why}`;
  const folder = await mkdtemp(join(tmpdir(), "shopmesh-breaking-"));
  try {
    const [archive, before, now] = ["before.tar", "before.binpb", "now.binpb"].map((name) => join(folder, name));
    if (archive === undefined || before === undefined || now === undefined) throw new Error("three names, three paths");
    const listed = await runCommand(root, "git", ["ls-tree", "--name-only", base.commit, ...CONTRACT_PATHS]);
    const paths = listed.trim().split("\n");
    await runCommand(root, "git", ["archive", "--format=tar", `--output=${archive}`, base.commit, "--", ...paths]);
    // Images, because folders can only be compared while they have the same modules.
    await buf(root, ["build", archive, "--output", before]);
    await buf(root, ["build", "--output", now]);
    await buf(root, ["breaking", now, "--against", before]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return `compared with ${base.why}`;
}

/** Whether gen/ is what the protos say. Writes nothing to the tree. */
export async function checkGenerated(root: string): Promise<string> {
  return await withGenerated(root, async (fresh) => {
    const differences = await compare(fresh, join(root, "gen"));
    if (differences.length > 0) {
      const lines = differences.map(({ path, kind }) => `  ${kind}: gen/${path}`);
      throw new Error(["gen/ is not what the protos say; run `npm run generate`", ...lines].join("\n"));
    }
    return sawSome((await compare(fresh, join(fresh, "nowhere"))).length, "files");
  });
}

async function countProtos(root: string): Promise<string> {
  const files = (await buf(root, ["ls-files"])).split("\n").filter((line) => line.endsWith(".proto"));
  return sawSome(files.length, "protos");
}
