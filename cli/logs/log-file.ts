import { closeSync, fstatSync, openSync, renameSync, writeSync } from "node:fs";

/** A log on disk that never outgrows twice its bound: at the bound it is set aside as `<path>.1`, and begun anew. */
export interface LogFile {
  /** Appends text. A disk that is full or gone costs the log, never the shop. */
  append(text: string): void;
  close(): void;
}

const maxLogBytes = 10 * 1024 * 1024;

/**
 * Opens a log file, readable by its owner only. The first write that fails is reported by `onError`; after it nothing
 * more is written. Throws when it cannot be opened.
 */
export function openLogFile(
  path: string,
  options: { readonly maxBytes?: number; readonly onError: (error: unknown) => void },
): LogFile {
  const maxBytes = options.maxBytes ?? maxLogBytes;
  let file: number | undefined = openSync(path, "a", 0o600);
  let size = fstatSync(file).size;

  const write = (open: number, bytes: Buffer): number => {
    for (let offset = 0; offset < bytes.length; ) offset += writeSync(open, bytes, offset);
    return bytes.length;
  };
  const rotate = (open: number): number => {
    closeSync(open);
    file = undefined;
    renameSync(path, `${path}.1`);
    size = 0;
    return openSync(path, "a", 0o600);
  };

  return {
    append(text) {
      if (file === undefined) return;
      const bytes = Buffer.from(text);
      try {
        if (size > 0 && size + bytes.length > maxBytes) file = rotate(file);
        size += write(file, bytes);
      } catch (error) {
        file = undefined;
        options.onError(error);
      }
    },
    close() {
      if (file !== undefined) closeSync(file);
      file = undefined;
    },
  };
}
