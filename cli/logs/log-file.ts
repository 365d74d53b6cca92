import { closeSync, fstatSync, openSync, renameSync, writeSync } from "node:fs";
import { messageOf } from "../operator-error.ts";

/** A log on disk that never outgrows twice its bound: at the bound it is set aside as `<path>.1`, and begun anew. */
export interface LogFile {
  /** Appends text. A disk that is full or gone costs the log, never the shop. */
  append(text: string): void;
  close(): void;
}

const maxLogBytes = 10 * 1024 * 1024;
/** After a write that failed nothing is written for so long: a full disk would be asked for each line. */
const pauseMs = 1000;

export interface LogFileOptions {
  readonly maxBytes?: number;
  /** Told of the first write that fails, and of the first that fails after others have succeeded again. */
  readonly onError: (error: unknown) => void;
  /** Any clock that only goes forward. */
  readonly nowMs?: () => number;
}

/**
 * Opens a log file, readable by its owner only. After a write that failed it is tried again, a second later at the soonest;
 * what came meanwhile is lost, and a line says how much. Throws when it cannot be opened.
 */
export function openLogFile(path: string, options: LogFileOptions): LogFile {
  const { maxBytes = maxLogBytes, onError, nowMs = () => performance.now() } = options;
  const bounded = openBounded(path, maxBytes);
  let lost = { lines: 0, cause: "" };
  let retryAtMs = 0;

  const tryToWrite = (text: string): void => {
    const note = lost.lines === 0 ? "" : `shopmesh: ${lost.lines} lines could not be written here: ${lost.cause}\n`;
    try {
      bounded.write(`${note}${text}`);
      lost = { lines: 0, cause: "" };
    } catch (error) {
      if (lost.lines === 0) onError(error);
      lost = { lines: lost.lines + linesOf(text), cause: messageOf(error) };
      retryAtMs = nowMs() + pauseMs;
    }
  };
  return {
    append(text) {
      if (lost.lines === 0 || nowMs() >= retryAtMs) tryToWrite(text);
      else lost = { ...lost, lines: lost.lines + linesOf(text) };
    },
    close() {
      if (lost.lines > 0) tryToWrite("");
      bounded.close();
    },
  };
}

function linesOf(text: string): number {
  return text.split("\n").length - 1;
}

/** The file itself. `write` throws when not all was written; it may be called again. */
function openBounded(path: string, maxBytes: number): { write(text: string): void; close(): void } {
  let file: number | undefined;
  let size = 0;
  let isTorn = false;
  const close = (): void => {
    if (file !== undefined) closeSync(file);
    file = undefined;
  };
  const open = (): number => {
    file = openSync(path, "a", 0o600);
    size = fstatSync(file).size;
    return file;
  };
  const append = (target: number, bytes: Buffer): void => {
    for (let offset = 0; offset < bytes.length; ) {
      const written = writeSync(target, bytes, offset);
      offset += written;
      size += written;
      isTorn = offset < bytes.length;
    }
  };
  open();
  return {
    write(text) {
      try {
        const bytes = Buffer.from(isTorn ? `\n${text}` : text);
        let target = file ?? open();
        if (size > 0 && size + bytes.length > maxBytes) {
          close();
          renameSync(path, `${path}.1`);
          target = open();
        }
        append(target, bytes);
      } catch (error) {
        close();
        throw error;
      }
    },
    close,
  };
}
