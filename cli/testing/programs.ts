import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "#mesh/clock.ts";
import { createTerminal, type Terminal } from "../logs/terminal.ts";
import type { Output } from "../output.ts";
import { startOf } from "../postgres/processes.ts";
import type { Program } from "../supervisor/process.ts";

/** A folder for one test file, and small programs in it. */
export interface Workshop {
  readonly dir: string;
  /** Writes a program (an ES module), of the first tier unless said otherwise. It gets PATH and `env`. */
  program(
    name: string,
    source: string,
    options?: { readonly env?: Readonly<Record<string, string>>; readonly tier?: number },
  ): Program;
  close(): void;
}

/** What a program does that is ready at once and ends when it is told to. */
export const wellBehaved = `
  process.on("SIGTERM", () => process.exit(0));
  process.on("disconnect", () => process.exit(0));
  process.send({ type: "ready", port: 1 });
`;

export function createWorkshop(): Workshop {
  const dir = mkdtempSync(join(tmpdir(), "shopmesh-cli-"));
  return {
    dir,
    program(name, source, { env = {}, tier = 0 } = {}) {
      const file = join(dir, `${name}.mjs`);
      writeFileSync(file, source);
      const makeEnv = async () => ({ PATH: process.env.PATH ?? "", ...env });
      return { name, service: name, version: "v1", tier, file, port: 1, env: makeEnv };
    },
    close: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** Keeps what is written, and tells when a text has come. */
export interface CapturedOutput extends Output {
  text(): string;
  /** Settles once the output holds the text, so many times if asked. The test's own timeout is the bound. */
  saw(text: string, options?: { readonly times?: number }): Promise<void>;
}

export function captureOutput(): CapturedOutput {
  let all = "";
  let waiting: { readonly isOver: () => boolean; readonly resolve: () => void }[] = [];
  return {
    colour: false,
    write(text) {
      all += text;
      for (const { resolve } of waiting.filter(({ isOver }) => isOver())) resolve();
      waiting = waiting.filter(({ isOver }) => !isOver());
    },
    text: () => all,
    saw(text, { times = 1 } = {}) {
      const isOver = (): boolean => all.split(text).length > times;
      return isOver() ? Promise.resolve() : new Promise((resolve) => waiting.push({ isOver, resolve }));
    },
  };
}

export function terminalTo(output: Output, options: { readonly verbose?: boolean } = {}): Terminal {
  return createTerminal({ output, verbose: options.verbose ?? false, clock: systemClock, names: ["probe"] });
}

/** Whether a process still runs; one that has ended does not, even before its parent takes notice. */
export async function isRunning(pid: number): Promise<boolean> {
  return (await startOf(pid)) !== undefined;
}
