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

process.exitCode = await runCommand(process.argv.slice(2), context);
