import { styleText } from "node:util";
import { type LogRecord, levels } from "./record.ts";

type Style = Parameters<typeof styleText>[0];

/** Puts a style on text, or not: one is made for a terminal with colour and one for everything else. */
export type Paint = (style: Style, text: string) => string;

export function createPaint(colour: boolean): Paint {
  // The decision is made already: it must not be made again here, by the look of our own standard output.
  return colour ? (style, text) => styleText(style, text, { validateStream: false }) : (_style, text) => text;
}

/** Longer lines are cut in the terminal; the file has them whole. */
export const maxShownCharacters = 600;

/** A record as one line for people: level, message, fields. Time and process name go before it. */
export function renderRecord(record: LogRecord, paint: Paint): string {
  const text = [record.message, ...Object.entries(record.fields).flatMap(([key, value]) => renderField(key, value))];
  const line = cut(text.filter((part) => part !== "").join("  "));
  if (record.level >= levels.error) return `${paint("red", "ERROR")} ${line}`;
  if (record.level >= levels.warn) return `${paint("yellow", "WARN ")} ${line}`;
  return record.level >= levels.info ? `info  ${line}` : paint("dim", `debug ${line}`);
}

/** A line of any other kind, made harmless for a terminal. */
export function renderPlain(line: string): string {
  return cut(line);
}

/** `12:01:02.345`, local time. */
export function renderTime(timeMs: number): string {
  const time = new Date(timeMs);
  const two = (value: number): string => String(value).padStart(2, "0");
  const seconds = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return `${seconds}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}

function renderField(key: string, value: unknown): readonly string[] {
  if (value === undefined || value === null || value === "") return [];
  if (isError(key, value)) return [`${key}=${quote(value.message)}`];
  return [`${key}=${typeof value === "string" ? quote(value) : JSON.stringify(value)}`];
}

// pino writes an error as its type, message and stack; the stack is for the file.
function isError(key: string, value: unknown): value is { readonly message: string } {
  const named = key === "err" || key === "error";
  const shaped = typeof value === "object" && value !== null && "message" in value;
  return named && shaped && typeof value.message === "string";
}

function quote(text: string): string {
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}

function cut(line: string): string {
  const safe = line.replaceAll(controlCharacters, escapeControl);
  return safe.length <= maxShownCharacters ? safe : `${safe.slice(0, maxShownCharacters)} …`;
}

// What somebody else wrote into a log must not move the cursor, rename the window or forge further lines.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const controlCharacters = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029]/g;

function escapeControl(character: string): string {
  if (character === "\n") return " ⏎ ";
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
}
