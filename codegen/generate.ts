/** `npm run generate`: makes gen/ what the protos say, and says what changed. */
import { join } from "node:path";
import { apply, compare, withGenerated } from "./generation.ts";

const root = join(import.meta.dirname, "..");
const gen = join(root, "gen");

try {
  const changed = await withGenerated(root, async (fresh) => {
    const differences = await compare(fresh, gen);
    await apply(differences, fresh, gen);
    return differences;
  });
  const verb = { missing: "added", changed: "changed", stale: "removed" };
  for (const { path, kind } of changed) process.stdout.write(`${verb[kind]} gen/${path}\n`);
  if (changed.length === 0) process.stdout.write("gen/ is up to date\n");
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
