import { spawn } from "node:child_process";

/** A program that ended otherwise than it should; the message is what it printed. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}

/**
 * Runs a program to its end and returns what it printed, both streams in the order they came. Throws a CommandError
 * with the same text when it cannot be started, is killed, or ends with another code than 0.
 */
export function runCommand(cwd: string, program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, stdio: ["ignore", "pipe", "pipe"] });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.on("error", (cause) => reject(new CommandError(`${program} cannot be started: ${cause.message}`, { cause })));
    child.on("close", (code, signal) => {
      const printed = Buffer.concat(chunks).toString();
      if (code === 0) resolve(printed);
      else reject(new CommandError(printed.trim() || `${program} ended with ${code ?? signal} and without a word`));
    });
  });
}
