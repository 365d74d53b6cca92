import { CommandError, runCommand } from "./command.ts";

/** What the contracts are compared with: a commit that has some, and why that one. */
export interface Base {
  readonly commit: string;
  readonly why: string;
}

/** Why there is nothing to compare with. */
export interface NoBase {
  readonly commit: undefined;
  readonly why: string;
}

const MAIN_BRANCHES = ["refs/remotes/origin/main", "refs/heads/main"];
/** What the contracts of a commit consist of. */
export const CONTRACT_PATHS = ["buf.yaml", "proto", "proto-external"];

/**
 * Chooses the commit whose contracts must not be broken, from what the clone at hand holds; asks no server.
 *
 * It is the last release that HEAD descends from. Before the first release it is where HEAD left the main branch; on
 * the main branch itself, the last commit when the contracts have changes that are not committed, else the one before.
 */
export async function chooseBase(root: string): Promise<Base | NoBase> {
  const git = (...args: readonly string[]): Promise<string | undefined> => tryGit(root, args);
  const head = await git("rev-parse", "--verify", "--quiet", "HEAD^{commit}");
  if (head === undefined) return { commit: undefined, why: "there is no commit here" };

  const tag = await git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*");
  if (tag !== undefined) return withContracts(root, `${tag}^{commit}`, `release ${tag}`);

  for (const branch of MAIN_BRANCHES) {
    const fork = await git("merge-base", "HEAD", branch);
    if (fork !== undefined && fork !== head) return withContracts(root, fork, "where this branch left main");
  }

  const changed = await git("status", "--porcelain", "--", ...CONTRACT_PATHS);
  if (changed !== undefined && changed !== "") return withContracts(root, head, "the last commit");
  const parent = await git("rev-parse", "--verify", "--quiet", "HEAD~1^{commit}");
  if (parent === undefined) return { commit: undefined, why: "the commit before this one is not in this clone" };
  return withContracts(root, parent, "the commit before");
}

/** A release without contracts, or a commit older than the first of them, has nothing to break. */
async function withContracts(root: string, revision: string, name: string): Promise<Base | NoBase> {
  const commit = await tryGit(root, ["rev-parse", "--verify", "--quiet", revision]);
  const short = await tryGit(root, ["rev-parse", "--short", revision]);
  const found = commit === undefined ? "" : await tryGit(root, ["ls-tree", "--name-only", commit, "buf.yaml", "proto"]);
  if (commit === undefined || found !== "buf.yaml\nproto") {
    return { commit: undefined, why: `${name} (${short}) has no contracts` };
  }
  return { commit, why: `${name} (${short})` };
}

/** What git prints, trimmed; undefined when it fails, as it does where something is not in the clone. */
async function tryGit(root: string, args: readonly string[]): Promise<string | undefined> {
  try {
    return (await runCommand(root, "git", args)).trim();
  } catch (error) {
    if (error instanceof CommandError) return undefined;
    throw error;
  }
}
