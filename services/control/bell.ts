/** Wakes one who waits. A ring that nobody waits for is kept for the next one who does. */
export interface Bell {
  ring(): void;
  /** Resolves at the next ring, at once when one is kept. One waits at a time. */
  wait(): Promise<void>;
}

export function createBell(): Bell {
  let rung = false;
  let wake: (() => void) | undefined;
  return {
    ring() {
      rung = true;
      wake?.();
    },
    async wait() {
      if (!rung) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      rung = false;
      wake = undefined;
    },
  };
}
