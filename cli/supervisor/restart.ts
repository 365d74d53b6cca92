import type { Kind } from "../topology.ts";
import type { Crew, Instance } from "./crew.ts";
import { unknownProgram } from "./failures.ts";

/** What a restart is of: all instances of a kind, or one. */
export interface RestartOf {
  readonly kind: Kind;
  readonly instances: readonly Instance[];
}

/** Finds what goes by a name, of a process or of a kind. Throws PROGRAM_UNKNOWN. */
export function restartOf(crew: Crew, name: string): RestartOf {
  const one = crew.find(name);
  if (one !== undefined) return { kind: one.kind, instances: [one] };
  const kind = crew.kindOf(name);
  const instances = crew.instances(kind);
  if (instances.length === 0) throw unknownProgram(name);
  return { kind, instances };
}

/**
 * Starts instances again, each of the build that it is of, one after the other: another takes calls before the old one
 * ends, unless there can be but one. Throws INSTANCE_FAILED when one does not come up; the old one is there still, or, if
 * there can be but one, is tried again.
 */
export async function restart(crew: Crew, { kind, instances }: RestartOf, signal: AbortSignal): Promise<void> {
  for (const { name, release } of instances) {
    if (kind.atMost === 1) {
      await crew.end(name);
      await crew.add(release, { signal, insist: true });
      continue;
    }
    const wasCanary = crew.canary(kind)?.name === name;
    const next = await crew.add(release, { signal });
    if (wasCanary) crew.setCanary(kind, next.name);
    await crew.end(name);
  }
}
