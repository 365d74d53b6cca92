import packageJson from "../package.json" with { type: "json" };
import { runCommand } from "./command.ts";
import type { CommandContext } from "./invocation.ts";
import { streamOutput } from "./output.ts";
import { wantsColour } from "./settings.ts";

const { env, stdout, stderr } = process;

// Beside this file once it is built: dist/services/… next to dist/cli/main.js. Not `new URL("…", import.meta.url)`,
// which the build takes for a file to bring along.
const self = import.meta.url;

const context: CommandContext = {
  env,
  output: streamOutput(stdout, wantsColour(env, stdout.isTTY === true)),
  errors: streamOutput(stderr, wantsColour(env, stderr.isTTY === true)),
  programsDir: new URL("../", self),
  version: packageJson.version,
};

const code = await runCommand(process.argv.slice(2), context);
// What was said is still to be written; what else hangs, such as a connection to a process that does not answer, is not
// waited for.
await Promise.all([stdout, stderr].map((stream) => new Promise((resolve) => stream.write("", resolve))));
process.exit(code);
