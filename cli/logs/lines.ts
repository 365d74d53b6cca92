/** Cuts a stream of bytes into lines. */
export interface LineSplitter {
  /** The lines that this chunk completes. */
  push(chunk: Buffer): readonly string[];
  /** What is left at the end, as a line. */
  end(): readonly string[];
}

/** Longer lines are cut here, with a note of how much is missing, so that no process can fill our memory. */
const maxLineBytes = 64 * 1024;

/** Makes a splitter. Lines end in `\n` or `\r\n`; empty ones are left out. Bytes are UTF-8. */
export function createLineSplitter(maxBytes: number = maxLineBytes): LineSplitter {
  let parts: Buffer[] = [];
  let kept = 0;
  let lost = 0;

  const keep = (part: Buffer): void => {
    const room = Math.min(part.length, maxBytes - kept);
    if (room > 0) parts.push(part.subarray(0, room));
    kept += room;
    lost += part.length - room;
  };
  const take = (): readonly string[] => {
    const text = Buffer.concat(parts).toString("utf8");
    const line = text.endsWith("\r") ? text.slice(0, -1) : text;
    const note = lost === 0 ? "" : ` … (${lost} more bytes)`;
    parts = [];
    kept = 0;
    lost = 0;
    return line === "" ? [] : [line + note];
  };

  return {
    push(chunk) {
      const lines: string[] = [];
      let begin = 0;
      for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, begin)) {
        keep(chunk.subarray(begin, end));
        lines.push(...take());
        begin = end + 1;
      }
      // A copy: what is left must not hold on to the whole chunk.
      if (begin < chunk.length) keep(Buffer.from(chunk.subarray(begin)));
      return lines;
    },
    end: take,
  };
}
