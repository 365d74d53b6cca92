import { parseArgs } from "node:util";
import { systemClock } from "#mesh/clock.ts";
import { adminGrant } from "./commands/admin-grant.ts";
import { importFile } from "./commands/import-file.ts";
import { reconcile } from "./commands/reconcile.ts";
import { withRunningShop } from "./commands/running-shop.ts";
import { status } from "./commands/status.ts";
import { up } from "./commands/up.ts";
import { exitCodes, messageOf, OperatorError } from "./operator-error.ts";
import type { Output } from "./output.ts";
import { readSettings, type Settings } from "./settings.ts";
import { usage } from "./usage.ts";

/** What a command runs with. */
export interface CommandContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly output: Output;
  readonly errors: Output;
  /** Where the built programs are: `dist/`. */
  readonly programsDir: URL;
  readonly version: string;
}

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

type CommandLine = ReturnType<typeof readCommandLine>;

function readCommandLine(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        port: { type: "string" },
        data: { type: "string" },
        "log-level": { type: "string" },
        verbose: { type: "boolean" },
        instances: { type: "string" },
        json: { type: "boolean" },
        help: { type: "boolean", short: "h" },
        version: { type: "boolean" },
      },
    });
  } catch (error) {
    throw badUsage(messageOf(error));
  }
}

async function dispatch({ values, positionals }: CommandLine, context: CommandContext): Promise<number> {
  const { env, output, programsDir } = context;
  const [command, ...operands] = positionals;
  if (values.help === true || command === "help") return say(output, usage);
  if (values.version === true || command === "version") return say(output, `shopmesh ${context.version}\n`);
  if (command === undefined) throw badUsage("no command given");
  const settings = (): Settings => readSettings(env, { ...values, logLevel: values["log-level"] });
  switch (command) {
    case "up":
      expectOperands("up", operands, []);
      await up({ settings: settings(), output, programsDir });
      return exitCodes.ok;
    case "status":
      expectOperands("status", operands, []);
      return status({
        settings: settings(),
        output,
        json: values.json === true,
        nowMs: systemClock.now().getTime(),
      });
    case "import": {
      const [path] = expectOperands("import", operands, ["file"]);
      return withRunningShop(settings(), (mesh) => importFile({ mesh, path, output }));
    }
    case "reconcile":
      expectOperands("reconcile", operands, []);
      return withRunningShop(settings(), (mesh) => reconcile({ mesh, output, json: values.json === true }));
    case "admin":
      return admin(operands, settings(), output);
    default:
      throw badUsage(`there is no command "${command}"`);
  }
}

async function admin(operands: readonly string[], settings: Settings, output: Output): Promise<number> {
  const [action, ...rest] = operands;
  if (action !== "grant")
    throw badUsage(action === undefined ? "admin what?" : `there is no command "admin ${action}"`);
  const [who, roleName] = expectOperands("admin grant", rest, ["who", "role"]);
  await withRunningShop(settings, (mesh) => adminGrant({ mesh, who, roleName, output }));
  return exitCodes.ok;
}

/** As many operands as there are names, each present. */
function expectOperands<const Names extends readonly string[]>(
  command: string,
  operands: readonly string[],
  names: Names,
): { readonly [Index in keyof Names]: string } {
  if (operands.length === names.length) {
    // The lengths are the same, and all operands are strings.
    return operands as { readonly [Index in keyof Names]: string };
  }
  throw badUsage(`usage: shopmesh ${[command, ...names.map((name) => `<${name}>`)].join(" ")}`);
}

function badUsage(message: string): OperatorError {
  return new OperatorError(message, { exitCode: exitCodes.usage });
}

function say(output: Output, text: string): number {
  output.write(text);
  return exitCodes.ok;
}
