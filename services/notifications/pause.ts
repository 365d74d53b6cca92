/** While no mail gets through, one at a time is tried, ever more rarely, rather than all that wait. */
export interface Pause {
  /** How many mails may be under way at a time, out of so many. */
  room(most: number): number;
  /** No mail gets through: nothing is tried for a while, and then one. */
  begin(): void;
  /** The server answers. */
  end(): void;
  /** Ends it for good. */
  close(): void;
}

/** Says by `onOver` when something may be tried again. */
export function createPause(
  { firstMs, maxMs }: { readonly firstMs: number; readonly maxMs: number },
  onOver: () => void,
): Pause {
  let waitMs = 0;
  let timer: NodeJS.Timeout | undefined;

  const over = (): void => {
    timer = undefined;
    onOver();
  };
  return {
    room: (most) => (timer !== undefined ? 0 : waitMs > 0 ? 1 : most),
    begin() {
      // Of several that fail at once, the first has begun it.
      if (timer !== undefined) return;
      waitMs = waitMs === 0 ? firstMs : Math.min(2 * waitMs, maxMs);
      timer = setTimeout(over, waitMs);
    },
    end() {
      if (waitMs === 0) return;
      waitMs = 0;
      clearTimeout(timer);
      over();
    },
    close: () => clearTimeout(timer),
  };
}
