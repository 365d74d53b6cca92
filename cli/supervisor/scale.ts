import type { Kind } from "../topology.ts";
import type { Crew, Instance } from "./crew.ts";
import { tooMany } from "./failures.ts";

/** How many of a kind there are for good: all but the canary. */
export function regulars(crew: Crew, kind: Kind): readonly Instance[] {
  const canary = crew.canary(kind)?.name;
  return crew.instances(kind).filter(({ name }) => name !== canary);
}

/**
 * Starts or ends instances until there are `wanted`, besides a canary. Those with the highest numbers end. When one that
 * was started fails, the others that were started end as well, and INSTANCE_FAILED is thrown.
 */
export async function scale(
  crew: Crew,
  { kind, wanted }: { readonly kind: Kind; readonly wanted: number },
  signal: AbortSignal,
): Promise<void> {
  if (wanted > kind.atMost) throw tooMany(kind.name, kind.atMost);
  const present = regulars(crew, kind);
  const missing = wanted - present.length;
  if (missing > 0) return addAll(crew, { kind, missing }, signal);
  await Promise.all(present.slice(wanted).map(({ name }) => crew.end(name)));
}

async function addAll(
  crew: Crew,
  { kind, missing }: { readonly kind: Kind; readonly missing: number },
  signal: AbortSignal,
): Promise<void> {
  crew.checkRoom(kind, missing);
  const release = crew.release(kind);
  const started = await Promise.allSettled(Array.from({ length: missing }, () => crew.add(release, { signal })));
  const failed = started.find((outcome) => outcome.status === "rejected");
  if (failed === undefined) return;
  const fine = started.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  await Promise.all(fine.map(({ name }) => crew.end(name)));
  throw failed.reason;
}
