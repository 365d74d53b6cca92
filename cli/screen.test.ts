import { expect, test } from "vitest";
import { createScreen } from "./screen.ts";
import { captureOutput } from "./testing/programs.ts";

function screenOf(size: { columns: number; rows: number } | undefined) {
  const output = { ...captureOutput(), size: () => size };
  return { output, show: createScreen(output) };
}

test("draws over what it showed before, and clears what is left of it", () => {
  const { output, show } = screenOf({ columns: 80, rows: 24 });
  show("one\ntwo\n");
  show("three\n");
  expect(output.text()).toBe("one\x1b[K\ntwo\x1b[K\n\x1b[J\x1b[2A\rthree\x1b[K\n\x1b[J");
});

test("cuts what would not fit, so that it knows how many lines there are", () => {
  const { output, show } = screenOf({ columns: 5, rows: 3 });
  show("123456\n12345\n3\n4\n");
  expect(output.text()).toBe("1234…\x1b[K\n… 3 …\x1b[K\n\x1b[J");
});

test("begins anew in a terminal of another width", () => {
  const size = { columns: 80, rows: 24 };
  const { output, show } = screenOf(size);
  show("one\n");
  size.columns = 40;
  show("two\n");
  expect(output.text()).toContain("\x1b[2J\x1b[Htwo");
});

test("prints again where there is no terminal", () => {
  const { output, show } = screenOf(undefined);
  show("one\n");
  show("two\n");
  expect(output.text()).toBe("one\ntwo\n");
});
