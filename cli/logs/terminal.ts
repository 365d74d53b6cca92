import { stripVTControlCharacters } from "node:util";
import type { Clock } from "#mesh/clock.ts";
import type { Output } from "../output.ts";
import { levelAtStart, levels, parseRecord } from "./record.ts";
import { createPaint, type Paint, renderPlain, renderRecord, renderTime } from "./render.ts";

/** All that is told to the operator, line by line. */
export interface Terminal {
  /** What the supervisor itself has to say. */
  say(message: string): void;
  warn(message: string): void;
  /** A line of a process, shown if it is for the operator. One that does not say when it was written was so at `timeMs`, or now. */
  processLine(name: string, line: string, timeMs?: number): void;
  /** Text as it is: the ready block. */
  block(text: string): void;
  readonly paint: Paint;
}

export interface TerminalOptions {
  readonly output: Output;
  /** Shows every line of every process; otherwise warnings, errors, and what is no log line at all. */
  readonly verbose: boolean;
  readonly clock: Clock;
  /** The names that will come before a line, so that they can be aligned; others may come too. */
  readonly names: readonly string[];
}

const supervisorName = "shopmesh";
const colours = [
  "cyan",
  "green",
  "magenta",
  "blue",
  "cyanBright",
  "greenBright",
  "magentaBright",
  "blueBright",
] as const;

export function createTerminal(options: TerminalOptions): Terminal {
  const { output, clock, names, verbose } = options;
  const paint = createPaint(output.colour);
  const known = new Map(names.map((name, index) => [name, index]));
  const width = Math.max(...[supervisorName, ...names].map((name) => name.length));
  const shownFrom = verbose ? 0 : levels.warn;

  const write = (name: string, timeMs: number, text: string): void => {
    if (name !== supervisorName && !known.has(name)) known.set(name, known.size);
    const colour = colours[(known.get(name) ?? -1) % colours.length];
    const label = colour === undefined ? paint("bold", name.padEnd(width)) : paint(colour, name.padEnd(width));
    output.write(`${label} ${paint("dim", renderTime(timeMs))} ${text}\n`);
  };
  const now = (): number => clock.now().getTime();

  return {
    paint,
    say: (message) => write(supervisorName, now(), renderPlain(message)),
    warn: (message) => write(supervisorName, now(), paint("yellow", renderPlain(message))),
    block: (text) => output.write(text),
    processLine(name, line, timeMs) {
      const level = levelAtStart(line);
      if (level !== undefined && level < shownFrom) return;
      const record = parseRecord(line);
      if (record === undefined) return write(name, timeMs ?? now(), renderPlain(stripVTControlCharacters(line)));
      if (record.level >= shownFrom) write(name, record.timeMs ?? timeMs ?? now(), renderRecord(record, paint));
    },
  };
}
