import type { Logger } from "pino";

/** Writes the present state, and again when it has changed meanwhile: one write at a time, the last state at the end. */
export interface SnapshotWriter {
  /** Says that there is something new to write. */
  changed(): void;
  /** The same, and resolves when it has been tried once. What fails is tried again. */
  written(): Promise<void>;
  /** Resolves when all that changed is written, or could not be, which is tried once more. From then on nothing is. */
  close(): Promise<void>;
}

export interface SnapshotWriterOptions {
  /** Writes the present state. */
  readonly write: () => Promise<void>;
  readonly log: Pick<Logger, "error">;
}

/** How long the disk is left alone after a write: whoever changes the registry without end does not keep it busy. */
const PAUSE_MS = 100;
/** The same when a write failed. */
const RETRY_MS = 1_000;

export function createSnapshotWriter({ write, log }: SnapshotWriterOptions): SnapshotWriter {
  let isDirty = false;
  let isClosed = false;
  /** One of them while a write is under way, or a pause after it. */
  let writing: Promise<void> | undefined;
  let pause: NodeJS.Timeout | undefined;

  /** Resolves with how long to leave the disk alone. Never rejects. */
  const writeOnce = async (): Promise<number> => {
    isDirty = false;
    try {
      await write();
      return PAUSE_MS;
    } catch (error) {
      isDirty = true;
      log.error({ err: error }, "the registry could not be written to disk; trying again");
      return RETRY_MS;
    }
  };
  const start = (): void => {
    pause = undefined;
    if (!isDirty) return;
    writing = writeOnce().then((pauseMs) => {
      writing = undefined;
      if (!isClosed) pause = setTimeout(start, pauseMs);
    });
  };

  const changed = (): void => {
    if (isClosed) return;
    isDirty = true;
    if (writing === undefined && pause === undefined) start();
  };

  return {
    changed,
    async written() {
      changed();
      await writing;
    },
    async close() {
      isClosed = true;
      clearTimeout(pause);
      await writing;
      if (isDirty) await writeOnce();
    },
  };
}
