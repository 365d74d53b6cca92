/** What has been acquired and must be given back, the last first. */
export interface Cleanup {
  /** What is added after `run` has begun is given back too. */
  add(name: string, release: () => void | Promise<void>): void;
  /** Gives back everything that is left. One failure does not keep the rest from being given back. Idempotent. */
  run(): Promise<void>;
}

export function createCleanup(onFailure: (name: string, error: unknown) => void): Cleanup {
  const held: { readonly name: string; readonly release: () => void | Promise<void> }[] = [];
  let running: Promise<void> | undefined;

  const runAll = async (): Promise<void> => {
    for (let next = held.pop(); next !== undefined; next = held.pop()) {
      try {
        await next.release();
      } catch (error) {
        onFailure(next.name, error);
      }
    }
  };
  return {
    add(name, release) {
      held.push({ name, release });
      running = running?.then(runAll);
    },
    run() {
      running ??= runAll();
      return running;
    },
  };
}
