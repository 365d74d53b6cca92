import type { Party, World } from "./world.ts";

/** Whose waits end with which signal: `drive.ts` waits with that of its process. */
const owners = new WeakMap<AbortSignal, { readonly world: World; readonly party: Party }>();

export function bindSleep(signal: AbortSignal, owner: { readonly world: World; readonly party: Party }): void {
  owners.set(signal, owner);
}

/** Takes the place of `setTimeout` of `node:timers/promises`: the wait ends by the simulated clock. */
export function setTimeout<T>(
  ms = 0,
  value?: T,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<T | undefined> {
  const owner = signal === undefined ? undefined : owners.get(signal);
  if (signal === undefined || owner === undefined)
    throw new TypeError("a wait that belongs to no process of the simulation");
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const gone = (): void => {
      timer.off = true;
      reject(signal.reason);
    };
    const timer = owner.world.later(
      ms,
      () => {
        signal.removeEventListener("abort", gone);
        resolve(value);
      },
      owner.party,
    );
    signal.addEventListener("abort", gone);
  });
}
