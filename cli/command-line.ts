import { parseArgs } from "node:util";
import { messageOf } from "./operator-error.ts";
import { badUsage } from "./usage-error.ts";

/** Every option there is. One name means the same wherever it is taken. */
const options = {
  port: { type: "string" },
  data: { type: "string" },
  "log-level": { type: "string" },
  verbose: { type: "boolean" },
  instances: { type: "string" },
  help: { type: "boolean", short: "h" },
  json: { type: "boolean" },
  watch: { type: "boolean", short: "w" },
  version: { type: "string" },
  from: { type: "string" },
  percent: { type: "string" },
  header: { type: "string", multiple: true },
  promote: { type: "boolean" },
  end: { type: "boolean" },
  delay: { type: "string" },
  status: { type: "string" },
  caller: { type: "string", multiple: true },
  method: { type: "string", multiple: true },
  for: { type: "string" },
  clear: { type: "boolean" },
  all: { type: "boolean" },
  follow: { type: "boolean", short: "f" },
  level: { type: "string" },
  lines: { type: "string", short: "n" },
} as const;

export type OptionName = keyof typeof options;

/** What the operator typed. */
export type CommandLine = ReturnType<typeof readCommandLine>;

/** Takes the arguments apart. Throws OperatorError for an option that no command has, or one without its value. */
export function readCommandLine(args: readonly string[]) {
  try {
    // `--version` is a question of its own, and with a value the version of a build.
    const isQuestion = args.length === 1 && args[0] === "--version";
    const { values, positionals } = parseArgs({
      args: isQuestion ? ["version"] : [...args],
      allowPositionals: true,
      options,
    });
    const [command, ...operands] = positionals;
    return { command, operands, values };
  } catch (error) {
    throw badUsage(messageOf(error));
  }
}

/** The options that were given. */
export function givenOptions({ values }: CommandLine): readonly OptionName[] {
  // parseArgs gives no other names than those above.
  return Object.keys(values) as OptionName[];
}
