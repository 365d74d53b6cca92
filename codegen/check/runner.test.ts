import { expect, test } from "vitest";
import { runCommand } from "./command.ts";
import { runSteps, sawSome } from "./runner.ts";

test("holds when every step holds, with one line for each", async () => {
  const lines: string[] = [];
  const steps = [
    { name: "one", run: async () => "3 files" },
    { name: "two", run: async () => "" },
  ];
  expect(await runSteps(steps, (line) => lines.push(line))).toBe(true);
  expect(lines.map((line) => line.replace(/\d\.\d s/, "T"))).toEqual([
    "ok     one            T  3 files",
    "ok     two            T",
  ]);
});

test("one failed step fails the whole, shows what is wrong, and lets the others finish", async () => {
  const lines: string[] = [];
  const steps = [
    { name: "bad", run: () => Promise.reject(new Error("a.ts is wrong")) },
    { name: "good", run: async () => "fine" },
  ];
  expect(await runSteps(steps, (line) => lines.push(line))).toBe(false);
  expect(lines.join("\n")).toMatch(/FAILED bad.*\na\.ts is wrong/);
  expect(lines.join("\n")).toMatch(/ok +good.*fine/);
});

test("a step that looked at nothing fails", () => {
  expect(sawSome(2, "files")).toBe("2 files");
  for (const count of [0, undefined, Number.NaN]) expect(() => sawSome(count, "files")).toThrow("it saw no files");
});

test("a command's failure carries what it printed on both streams", async () => {
  const script = "console.log('out'); console.error('err'); process.exitCode = 3";
  await expect(runCommand(".", process.execPath, ["-e", script])).rejects.toThrow(/out\s+err|err\s+out/);
  await expect(runCommand(".", process.execPath, ["-e", "process.exit(3)"])).rejects.toThrow("ended with 3");
  await expect(runCommand(".", "no-such-program", [])).rejects.toThrow("no-such-program cannot be started");
  expect(await runCommand(".", process.execPath, ["-e", "console.log(1)"])).toBe("1\n");
});
