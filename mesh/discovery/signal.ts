/** Wakes those who wait. */
export interface Signal {
  /** Resolves at the next ring after this call. */
  next(): Promise<void>;
  ring(): void;
}

/** Whoever waits takes `next()` before looking at what may have changed: so no ring is missed. */
export function createSignal(): Signal {
  let { promise, resolve } = deferred();
  return {
    next: () => promise,
    ring() {
      resolve();
      ({ promise, resolve } = deferred());
    },
  };
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** Waits for `promise`, but no longer than `timeoutMs`; says whether it came. */
export async function within(timeoutMs: number, promise: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
