import { performance } from "node:perf_hooks";

/** One thing that must hold. */
export interface Step {
  readonly name: string;
  /** Resolves with what it looked at, in a few words; rejects with what is wrong. */
  readonly run: () => Promise<string>;
}

/**
 * Runs all steps at once, prints a line for each as it ends, and below the line of a failed one what is wrong.
 * Returns whether all held.
 */
export async function runSteps(steps: readonly Step[], print: (text: string) => void): Promise<boolean> {
  const results = await Promise.all(steps.map((step) => runStep(step, print)));
  return results.every((held) => held);
}

/** Throws when a tool says that it looked at nothing: it would hold whatever the project is like. */
export function sawSome(count: number | undefined, what: string): string {
  if (count === undefined || !(count > 0)) throw new Error(`it saw no ${what}, so it proves nothing`);
  return `${count} ${what}`;
}

async function runStep(step: Step, print: (text: string) => void): Promise<boolean> {
  const started = performance.now();
  const line = (verdict: string, words: string): string => {
    const seconds = ((performance.now() - started) / 1000).toFixed(1).padStart(6);
    return `${verdict.padEnd(7)}${step.name.padEnd(12)}${seconds} s  ${words}`.trimEnd();
  };
  try {
    print(line("ok", await step.run()));
    return true;
  } catch (error) {
    print(line("FAILED", ""));
    print(error instanceof Error ? error.message : String(error));
    return false;
  }
}
