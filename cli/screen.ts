import { stripVTControlCharacters } from "node:util";
import type { Output } from "./output.ts";

/**
 * Shows one text after another: in place of the one before on a terminal, cut to its size; below it anywhere else.
 * What stood on the terminal before stays.
 */
export function createScreen(output: Output): (text: string) => void {
  let shown = 0;
  let columns = 0;
  return (text) => {
    const size = output.size?.();
    if (size === undefined) return output.write(text);
    const lines = cutLines(text.trimEnd().split("\n"), size);
    // Lines of another width were broken anew by the terminal, nobody knows where.
    const begin = shown === 0 ? "" : columns === size.columns ? `\x1b[${shown}A\r` : "\x1b[2J\x1b[H";
    output.write(`${begin}${lines.map((line) => `${line}\x1b[K\n`).join("")}\x1b[J`);
    shown = lines.length;
    columns = size.columns;
  };
}

function cutLines(lines: readonly string[], size: { readonly columns: number; readonly rows: number }) {
  // The cursor stands on a line of its own below them.
  const room = Math.max(1, size.rows - 1);
  const left = lines.length - room;
  const fitting = left <= 0 ? lines : [...lines.slice(0, room - 1), `… ${left + 1} more lines`];
  return fitting.map((line) => {
    const plain = stripVTControlCharacters(line);
    return plain.length <= size.columns ? line : `${plain.slice(0, size.columns - 1)}…`;
  });
}
