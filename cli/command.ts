import { type CommandLine, givenOptions, readCommandLine } from "./command-line.ts";
import { admin, importCatalogueFile, reconcileBooks, startShopHere } from "./commands/basic.ts";
import { canary } from "./commands/canary.ts";
import { fault } from "./commands/fault.ts";
import { joinKey } from "./commands/join-key.ts";
import { logs } from "./commands/logs.ts";
import { restart } from "./commands/restart.ts";
import { rollout } from "./commands/rollout.ts";
import { rotateAuthority } from "./commands/rotate-authority.ts";
import { rotateSigningKey } from "./commands/rotate-signing-key.ts";
import { rules } from "./commands/rules.ts";
import { scale } from "./commands/scale.ts";
import { split } from "./commands/split.ts";
import { status } from "./commands/status.ts";
import type { Command, CommandContext } from "./invocation.ts";
import { exitCodes, OperatorError } from "./operator-error.ts";
import { readSettings } from "./settings.ts";
import { closest } from "./suggest.ts";
import { usage } from "./usage.ts";
import { badUsage } from "./usage-error.ts";

const commands: Readonly<Record<string, Command>> = {
  up: startShopHere,
  status,
  scale,
  restart,
  rollout,
  canary,
  split,
  fault,
  rules,
  logs,
  "rotate-authority": rotateAuthority,
  "rotate-signing-key": rotateSigningKey,
  "join-key": joinKey,
  import: importCatalogueFile,
  reconcile: reconcileBooks,
  admin,
};

/** Runs the command that the arguments ask for. Returns the exit code; what went wrong has been said by then. */
export async function runCommand(args: readonly string[], context: CommandContext): Promise<number> {
  try {
    return await dispatch(readCommandLine(args), context);
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    const { errors } = context;
    errors.write(`shopmesh: ${error.message}\n`);
    for (const detail of error.details) errors.write(`  ${detail}\n`);
    if (error.exitCode === exitCodes.usage) errors.write("shopmesh help says more\n");
    return error.exitCode;
  }
}

async function dispatch(line: CommandLine, context: CommandContext): Promise<number> {
  const { command: name, operands, values } = line;
  if (values.help === true || name === "help") return say(context, usage);
  if (name === "version") return say(context, `shopmesh ${context.version}\n`);
  if (name === undefined) throw badUsage("no command given");
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) {
    const guess = closest(name, Object.keys(commands));
    throw badUsage(`there is no command "${name}"${guess === undefined ? "" : `; did you mean ${guess}?`}`);
  }
  const misplaced = givenOptions(line).find((option) => option !== "data" && !command.options?.includes(option));
  if (misplaced !== undefined) throw badUsage(`shopmesh ${name} has no option --${misplaced}`);
  const settings = readSettings(context.env, { ...values, logLevel: values["log-level"] });
  const misused = () => badUsage(`usage: shopmesh ${name} ${command.operands}`.trimEnd());
  return command.run({ operands, values, settings, context, misused });
}

function say({ output }: CommandContext, text: string): number {
  output.write(text);
  return exitCodes.ok;
}
