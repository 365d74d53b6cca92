import type { ControlDesk } from "./control-desk.ts";
import type { Phase } from "./phases.ts";
import type { Recorder } from "./recorder.ts";

/** How one phase went, but for what the shoppers met. */
export interface PhaseRun {
  readonly phase: Phase;
  readonly seconds: number;
  /** What there is to tell of it. */
  readonly told: string | undefined;
  /** Why it could not be carried out. */
  readonly problem: string | undefined;
}

/** Carries out one phase after the other. One that goes wrong is told, and the next one is tried all the same. */
export async function runPhases(
  phases: readonly Phase[],
  parts: { readonly desk: ControlDesk; readonly recorder: Recorder; readonly say: (text: string) => void },
): Promise<readonly PhaseRun[]> {
  const { desk, recorder, say } = parts;
  const runs: PhaseRun[] = [];
  for (const phase of phases) {
    let beginMs = performance.now();
    const enter = (): void => {
      beginMs = performance.now();
      recorder.enter(phase.what);
    };
    const outcome = await phase.run(desk, enter).then(
      (told) => ({ told, problem: undefined }),
      (error: unknown) => ({ told: undefined, problem: error instanceof Error ? error.message : String(error) }),
    );
    recorder.enter(undefined);
    const seconds = (performance.now() - beginMs) / 1_000;
    say(`${phase.what}: ${outcome.problem ?? outcome.told ?? "done"}, ${seconds.toFixed(1)} s`);
    runs.push({ phase, seconds, ...outcome });
  }
  return runs;
}
