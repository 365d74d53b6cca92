import { cp, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runCommand } from "./command.ts";
import { checkBiome, checkTypes, checkUnused, runTests } from "./sources.ts";

// Whole tools over a project of a few files, with this project's own settings.
const TOOLS = { timeout: 60_000 };
const source = join(import.meta.dirname, "../..");
const good = {
  "cli/main.ts": 'import { word } from "../mesh/word.ts";\n\nconsole.log(word);\n',
  "mesh/word.ts": 'export const word: string = "tea";\n',
};

let root: string;

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "shopmesh-check-")));
  for (const file of ["biome.json", "knip.json", "tsconfig.json"]) await cp(join(source, file), join(root, file));
  await symlink(join(source, "node_modules"), join(root, "node_modules"));
  await write({
    "package.json": '{ "name": "tea", "type": "module", "private": true }\n',
    ".gitignore": "node_modules\n",
  });
  await runCommand(root, "git", ["init", "-q"]);
});

afterEach(async () => {
  await rm(root, { recursive: true });
});

test("holds for a good project", TOOLS, async () => {
  await write(good);
  expect(await checkBiome(root)).toMatch(/^[1-9]\d* files$/);
  expect(await checkTypes(root)).toBe("2 files");
  expect(await checkUnused(root)).toBe("2 files");
});

test.each([
  ["a floating promise", `export async function f(): Promise<void> {}\nf();\n`, "noFloatingPromises"],
  ["any", "export const a: any = 1;\n", "noExplicitAny"],
  ["a non-null assertion", `export const a: string = process.argv[2]!;\n`, "noNonNullAssertion"],
  ["a type imported as a value", `import { Socket } from "node:net";\n\nexport let a: Socket;\n`, "useImportType"],
  ["a default export", "export default 1;\n", "noDefaultExport"],
  ["everything exported again", `export * from "./word.ts";\n`, "noReExportAll"],
  ["single quotes", "export const a = 'b';\n", "Formatter"],
])("Biome refuses %s", TOOLS, async (_, text, words) => {
  await write({ ...good, "mesh/bad.ts": text });
  await expect(checkBiome(root)).rejects.toThrow(words);
});

test("tsc refuses a wrong type, and its list of files is not shown", TOOLS, async () => {
  await write({ ...good, "mesh/word.ts": "export const word: string = 1;\n" });
  const message = await checkTypes(root).then(
    () => "no failure",
    (error: Error) => error.message,
  );
  expect(message).toContain("mesh/word.ts(1,14): error TS2322");
  expect(message).not.toContain("node_modules");
});

test.each([
  ["a file", { "mesh/lost.ts": "export const lost = 1;\n" }, "mesh/lost.ts"],
  ["an export", { "mesh/word.ts": 'export const word = "tea";\nexport const lost = 1;\n' }, "lost"],
  [
    "a dependency",
    { "package.json": '{ "name": "tea", "type": "module", "dependencies": { "pino": "1.0.0" } }' },
    "pino",
  ],
])("knip refuses %s that nothing uses", TOOLS, async (_, files, words) => {
  await write({ ...good, ...files });
  await expect(checkUnused(root)).rejects.toThrow(words);
});

test("nothing at all fails every step", TOOLS, async () => {
  await rm(join(root, "package.json"));
  await rm(join(root, "biome.json"));
  await rm(join(root, "knip.json"));
  await expect(checkTypes(root)).rejects.toThrow("No inputs were found");
  await write({ "package.json": '{ "name": "tea" }\n', "biome.json": '{ "files": { "includes": ["nowhere"] } }\n' });
  await expect(checkBiome(root)).rejects.toThrow();
  await write({ "knip.json": '{ "entry": ["nowhere.ts"], "project": ["nowhere.ts"] }\n' });
  await expect(checkUnused(root)).rejects.toThrow("it saw no files");
  await expect(runTests(root)).rejects.toThrow("No test files found");
});

async function write(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
}
