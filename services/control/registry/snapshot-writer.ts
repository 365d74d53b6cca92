import type { Logger } from "pino";

/** Writes the present state, and again when it has changed meanwhile: one write at a time, the last state at the end. */
export interface SnapshotWriter {
  /** Says that there is something new to write. */
  changed(): void;
  /** Resolves when all that changed is written, or could not be, which is tried once more. From then on nothing is. */
  close(): Promise<void>;
}

export interface SnapshotWriterOptions {
  /** Writes the present state. */
  readonly write: () => Promise<void>;
  readonly log: Pick<Logger, "error">;
}

/** How long to wait with the next try when a write failed. */
const RETRY_MS = 1_000;

export function createSnapshotWriter({ write, log }: SnapshotWriterOptions): SnapshotWriter {
  let isDirty = false;
  let isClosed = false;
  let running: Promise<void> | undefined;
  let retry: NodeJS.Timeout | undefined;

  const run = async (): Promise<void> => {
    while (isDirty) {
      isDirty = false;
      try {
        await write();
      } catch (error) {
        log.error({ err: error }, "the registry could not be written to disk; trying again");
        isDirty = true;
        if (!isClosed) retry = setTimeout(start, RETRY_MS);
        return;
      }
    }
  };
  const start = (): void => {
    retry = undefined;
    running ??= run().finally(() => {
      running = undefined;
    });
  };

  return {
    changed() {
      if (isClosed) return;
      isDirty = true;
      if (retry === undefined) start();
    },
    async close() {
      isClosed = true;
      clearTimeout(retry);
      await running;
      if (isDirty) await run();
    },
  };
}
