/** Where text for the operator goes. */
export interface Output {
  /** Writes text; lines end in `\n`. Must not throw. */
  write(text: string): void;
  readonly colour: boolean;
  /** The size of the terminal that it goes to; undefined, or not there at all, where that is none. */
  size?(): TerminalSize | undefined;
}

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

// Nobody reads a terminal that is so far behind; what is left out stands in the log files.
const maxBacklogBytes = 4 * 1024 * 1024;

/**
 * Writes to a stream (a terminal, a pipe). When its reader is far behind, lines are left out and counted instead of
 * kept in memory; when it is gone, writing stops silently: a shop does not end because a terminal window did.
 */
export function streamOutput(stream: NodeJS.WriteStream, colour: boolean): Output {
  let gone = false;
  let leftOut = 0;
  stream.on("error", () => {
    gone = true;
  });
  return {
    colour,
    size: () => (stream.isTTY ? { columns: stream.columns, rows: stream.rows } : undefined),
    write(text) {
      if (gone || stream.destroyed) return;
      if (stream.writableLength > maxBacklogBytes) {
        leftOut++;
        return;
      }
      if (leftOut > 0) stream.write(`… ${leftOut} lines left out here, because they were read too slowly\n`);
      leftOut = 0;
      stream.write(text);
    },
  };
}
