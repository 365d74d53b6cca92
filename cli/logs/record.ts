/** One structured log line, as pino writes it. */
export interface LogRecord {
  /** pino's number: 30 is info, 40 a warning, 50 an error. */
  readonly level: number;
  /** Epoch milliseconds; undefined where the line does not say. */
  readonly timeMs: number | undefined;
  readonly message: string;
  /** All other fields, without those that say the same on every line. */
  readonly fields: Readonly<Record<string, unknown>>;
}

export const levels = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60 } as const;

// Every line of a process has these, and the terminal shows the process's name already.
const constantFields: ReadonlySet<string> = new Set([
  ...["level", "time", "msg"],
  ...["workload", "instance", "version"],
  ...["pid", "hostname", "name"],
]);

/** Reads a line; undefined when it is not a structured one. */
export function parseRecord(line: string): LogRecord | undefined {
  if (!line.startsWith("{")) return undefined;
  const value = parseJson(line);
  if (typeof value !== "object" || value === null || !("level" in value)) return undefined;
  const level = levelNumber(value.level);
  if (level === undefined) return undefined;
  const time = "time" in value ? value.time : undefined;
  const message = "msg" in value ? value.msg : "";
  return {
    level,
    timeMs: timeOf(time),
    message: typeof message === "string" ? message : JSON.stringify(message),
    fields: Object.fromEntries(Object.entries(value).filter(([key]) => !constantFields.has(key))),
  };
}

/**
 * The level of a line without reading all of it, undefined when it does not begin as pino's do. Thousands of lines a
 * second are of no interest to the terminal; this tells them for next to nothing.
 */
export function levelAtStart(line: string): number | undefined {
  const level = /^\{"level":(?:(\d{1,3})|"([a-z]{4,5})"),/.exec(line);
  return level === null ? undefined : levelNumber(level[2] ?? Number(level[1]));
}

function levelNumber(level: unknown): number | undefined {
  if (typeof level === "number") return level;
  const known = Object.entries(levels).find(([name]) => name === level);
  return known?.[1];
}

function timeOf(time: unknown): number | undefined {
  const ms = typeof time === "string" ? Date.parse(time) : time;
  return typeof ms === "number" && Number.isFinite(ms) ? ms : undefined;
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
