import { expect, test } from "vitest";
import { levelAtStart, parseRecord } from "./record.ts";
import { createPaint, maxShownCharacters, renderPlain, renderRecord, renderTime } from "./render.ts";

const plain = createPaint(false);

function render(line: object): string {
  const record = parseRecord(JSON.stringify(line));
  if (record === undefined) throw new Error("not a record");
  return renderRecord(record, plain);
}

test("shows level, message and fields, and leaves out what each line repeats", () => {
  const line = {
    level: 40,
    time: 1,
    pid: 2,
    hostname: "h",
    name: "cart",
    msg: "slow call",
    durationMs: 1200,
    code: "OK",
  };
  expect(render(line)).toBe("WARN  slow call  durationMs=1200  code=OK");
});

test("shows an error's message and leaves its stack to the file", () => {
  const line = {
    level: 50,
    time: 1,
    msg: "call",
    err: { type: "Error", message: "no such row", stack: "Error: no\n at x" },
  };
  expect(render(line)).toBe('ERROR call  err="no such row"');
});

test("takes level names and ISO times too", () => {
  expect(parseRecord('{"level":"warn","time":"2026-06-01T12:00:00.000Z","msg":"x"}')).toMatchObject({
    level: 40,
    timeMs: Date.UTC(2026, 5, 1, 12),
  });
});

test.each(["plain text", "{", "{}", "[]", '{"level":"loud"}', '"text"', "null"])("takes %j for no record", (line) => {
  expect(parseRecord(line)).toBeUndefined();
});

test.each([
  ['{"level":"info","time":"2026-06-01T12:00:00.000Z"}', 30],
  ['{"level":50,"time":1}', 50],
  ['{"time":1,"level":50}', undefined],
  ['{"level":"loud","time":1}', undefined],
  ["level 50", undefined],
])("reads the level at the start of %j: %j", (line, level) => {
  expect(levelAtStart(line)).toBe(level);
});

test("lets nothing in a log control the terminal", () => {
  const attack = "\u001b[2J\u001b]0;title\u0007\r\nforged line \u009b31m";
  for (const shown of [render({ level: 50, msg: attack, field: attack }), renderPlain(attack)]) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(shown).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    expect(shown).toContain("forged line");
  }
});

test("cuts what is too long for a terminal", () => {
  expect(render({ level: 30, msg: "x".repeat(10_000) }).length).toBeLessThan(maxShownCharacters + 20);
});

test("writes local time with milliseconds", () => {
  expect(renderTime(new Date(2026, 0, 2, 3, 4, 5, 6).getTime())).toBe("03:04:05.006");
});

test("uses colour only when asked to", () => {
  expect(createPaint(true)("red", "x")).toBe("\u001b[31mx\u001b[39m");
  expect(plain("red", "x")).toBe("x");
});
