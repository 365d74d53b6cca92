import { createLineSplitter, type LineSplitter } from "./lines.ts";
import type { LogFile } from "./log-file.ts";
import { levelAtStart, levels, parseRecord } from "./record.ts";
import { createPaint, renderPlain, renderRecord } from "./render.ts";
import type { Terminal } from "./terminal.ts";

/** Takes what one process writes, over all its lives: to its log file, to the terminal, and the last errors by heart. */
export interface ProcessLog {
  stdout(chunk: Buffer): void;
  stderr(chunk: Buffer): void;
  /** The process has ended: what it wrote of a last line is a line. */
  end(): void;
  /** The last errors since the process started, for people: what to show when it could not start. */
  lastErrors(): readonly string[];
  /** Forgets those errors: a new life begins. */
  begin(): void;
  /** Closes the file. */
  close(): void;
}

// Enough for an error with its stack.
const keptErrors = 20;
const plain = createPaint(false);

export function createProcessLog(options: {
  readonly name: string;
  readonly file: LogFile;
  readonly terminal: Terminal;
}): ProcessLog {
  const { name, file, terminal } = options;
  const out = createLineSplitter();
  const err = createLineSplitter();
  let errors: string[] = [];

  const remember = (line: string, fromStderr: boolean): void => {
    const level = levelAtStart(line);
    if (level !== undefined && level < levels.error) return;
    const record = parseRecord(line);
    if (record === undefined ? !fromStderr : record.level < levels.error) return;
    errors = [...errors, record === undefined ? renderPlain(line) : renderRecord(record, plain)].slice(-keptErrors);
  };
  const take = (lines: readonly string[], fromStderr: boolean): void => {
    if (lines.length === 0) return;
    file.append(`${lines.join("\n")}\n`);
    for (const line of lines) {
      remember(line, fromStderr);
      terminal.processLine(name, line);
    }
  };
  const push = (splitter: LineSplitter, chunk: Buffer, fromStderr: boolean): void =>
    take(splitter.push(chunk), fromStderr);

  return {
    stdout: (chunk) => push(out, chunk, false),
    stderr: (chunk) => push(err, chunk, true),
    end() {
      take(out.end(), false);
      take(err.end(), true);
    },
    lastErrors: () => errors,
    begin() {
      errors = [];
    },
    close: () => file.close(),
  };
}
