import type { MeshNode } from "#mesh/mesh.ts";
import type { CommandLine, OptionName } from "./command-line.ts";
import type { Output } from "./output.ts";
import type { Settings } from "./settings.ts";

/** What a command runs with. */
export interface CommandContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly output: Output;
  readonly errors: Output;
  /** Where the built programs are: `dist/`. */
  readonly programsDir: URL;
  readonly version: string;
  /** Aborts when the operator wants no more. Asked for by commands that end in another way than by dying of it. */
  readonly interrupt?: () => Interrupt;
  /** How a command calls the shop that runs, unless a test has one of its own. */
  readonly openMesh?: (settings: Settings) => MeshNode;
}

/** The wish to stop. */
export interface Interrupt {
  readonly signal: AbortSignal;
  /** Listens no longer. */
  close(): void;
}

/** One command of `shopmesh`. */
export interface Command {
  /** What follows its name, for whoever got it wrong: `<service>=<count> …`. */
  readonly operands: string;
  /** The options that it takes beside `--data`. */
  readonly options?: readonly OptionName[];
  /** Does it, and returns the exit code. Throws OperatorError. */
  run(invocation: Invocation): Promise<number>;
}

/** A command with what the operator gave it. */
export interface Invocation {
  readonly operands: readonly string[];
  readonly values: CommandLine["values"];
  readonly settings: Settings;
  readonly context: CommandContext;
  /** The error of a command that was called in another way than it is to be. */
  misused(): Error;
}

/** The one operand of a command that takes exactly one. */
export function oneOperand({ operands, misused }: Invocation): string {
  const [operand] = operands;
  if (operand === undefined || operands.length > 1) throw misused();
  return operand;
}

/** For a command that takes none. */
export function noOperands({ operands, misused }: Invocation): void {
  if (operands.length > 0) throw misused();
}
