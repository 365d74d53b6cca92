import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { systemClock } from "#mesh/clock.ts";
import { dataFolder } from "../data/folder.ts";
import { watchInterrupt } from "../interrupt.ts";
import type { Command, Invocation } from "../invocation.ts";
import { createLogReader, type LogReader } from "../logs/log-reader.ts";
import { levelAtStart, levels, parseRecord } from "../logs/record.ts";
import { createTerminal } from "../logs/terminal.ts";
import { exitCodes, messageOf, OperatorError } from "../operator-error.ts";
import { unknownName } from "../usage-error.ts";
import { readCount } from "../values.ts";

const defaultLines = "100";
const maxLines = 10_000;
const followMs = 200;

/** Shows what processes logged, merged by time, as the terminal of the shop does. Needs no shop that runs. */
export const logs: Command = {
  operands: "<service or process> …",
  options: ["follow", "level", "lines"],
  async run(invocation) {
    const { operands, values, context, settings } = invocation;
    const count = readCount("--lines", values.lines ?? defaultLines, { least: 0, most: maxLines });
    const isWanted = wantedFrom(readLevel(values.level));
    const { logsDir } = dataFolder(settings.dataDir);
    const names = chooseLogs(operands, await logNames(logsDir));
    const show = lineWriter(names, invocation);
    const readers = new Map(names.map((name) => [name, createLogReader(join(logsDir, `${name}.log`), isWanted)]));
    try {
      show((await linesOf(readers, (reader) => reader.last(count))).slice(-count || Number.POSITIVE_INFINITY));
      if (values.follow !== true) return exitCodes.ok;
      const { signal, close } = (context.interrupt ?? watchInterrupt)();
      while (!signal.aborted) {
        show(await linesOf(readers, (reader) => reader.more()));
        // Of services that are scaled, further logs come about.
        for (const name of added(operands, await logNames(logsDir), readers)) {
          readers.set(name, createLogReader(join(logsDir, `${name}.log`), isWanted));
        }
        await delay(followMs, undefined, { signal }).catch(() => undefined);
      }
      close();
      return exitCodes.ok;
    } finally {
      await Promise.all([...readers.values()].map((reader) => reader.close()));
    }
  },
};

/** A line of a log. */
interface LogLine {
  readonly name: string;
  readonly line: string;
  readonly timeMs: number;
}

/** What each reader has, in the order of time. A line that does not say its own has that of the one before it. */
async function linesOf(
  readers: ReadonlyMap<string, LogReader>,
  read: (reader: LogReader) => Promise<readonly string[]>,
): Promise<readonly LogLine[]> {
  const each = await Promise.all([...readers].map(async ([name, reader]) => timed(name, await read(reader))));
  return each.flat().toSorted((a, b) => a.timeMs - b.timeMs);
}

function timed(name: string, lines: readonly string[]): readonly LogLine[] {
  const times = lines.map(timeOf);
  let timeMs = times.find((time) => time !== undefined) ?? systemClock.now().getTime();
  return lines.map((line, index) => {
    timeMs = times[index] ?? timeMs;
    return { name, line, timeMs };
  });
}

function timeOf(line: string): number | undefined {
  // PostgreSQL's lines begin with it: `2026-11-22 13:42:10.162 UTC`.
  const stamp = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d{3}) UTC /.exec(line);
  return stamp === null ? parseRecord(line)?.timeMs : Date.parse(`${stamp[1]}T${stamp[2]}Z`);
}

function lineWriter(names: readonly string[], { context: { output } }: Invocation) {
  const terminal = createTerminal({ output, verbose: true, clock: systemClock, names });
  return (lines: readonly LogLine[]): void => {
    for (const { name, line, timeMs } of lines) terminal.processLine(name, line, timeMs);
  };
}

async function logNames(logsDir: string): Promise<readonly string[]> {
  const files = await readdir(logsDir).catch((error: unknown) => {
    throw new OperatorError(`there are no logs in ${logsDir} (${messageOf(error)}); npm start makes them`);
  });
  return files
    .filter((file) => file.endsWith(".log"))
    .map((file) => file.slice(0, -".log".length))
    .toSorted();
}

/** The logs that are meant; all when none is named. Throws OperatorError for a name that is none. */
function chooseLogs(wanted: readonly string[], present: readonly string[]): readonly string[] {
  const none = wanted.find((name) => !present.some((log) => isMeant(log, name)));
  if (none !== undefined) throw unknownName("log of", none, present);
  return present.filter((log) => wanted.length === 0 || wanted.some((name) => isMeant(log, name)));
}

function added(
  wanted: readonly string[],
  present: readonly string[],
  known: ReadonlyMap<string, unknown>,
): readonly string[] {
  const meant = (log: string): boolean => wanted.length === 0 || wanted.some((name) => isMeant(log, name));
  return present.filter((log) => !known.has(log) && meant(log));
}

/** A process by its name, or each process of a service: `cart` is `cart`, `cart-1` and `cart-2`. */
function isMeant(log: string, name: string): boolean {
  return log === name || (log.startsWith(`${name}-`) && /^\d+$/.test(log.slice(name.length + 1)));
}

function readLevel(text: string | undefined): number {
  if (text === undefined) return 0;
  const found = Object.entries(levels).find(([name]) => name === text);
  if (found === undefined) throw unknownName("level", text, Object.keys(levels));
  return found[1];
}

/** Lines of a level and above, and those of none: whoever writes no log lines has something to say. */
function wantedFrom(least: number): (line: string) => boolean {
  return (line) => (levelAtStart(line) ?? parseRecord(line)?.level ?? Number.POSITIVE_INFINITY) >= least;
}
