import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";

const run = promisify(execFile);
// Bundling takes a second or two, and several times that on a busy machine.
const BUILD = { timeout: 60_000 };
const root = import.meta.dirname;

const main = `
import { Server, ServerCredentials, credentials, Client } from "@grpc/grpc-js";
import { readFileSync } from "node:fs";
import pg from "pg";
import { pino } from "pino";
import { word } from "#mesh/word.ts";

const log = pino({ base: null, timestamp: false });
const bytes = { requestStream: false, responseStream: false, requestSerialize: (b) => b, requestDeserialize: (b) => b,
  responseSerialize: (b) => b, responseDeserialize: (b) => b };
const server = new Server();
server.addService({ echo: { path: "/t.Echo/Echo", ...bytes } }, { echo: (call, done) => done(null, call.request) });
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  const client = new Client("127.0.0.1:" + port, credentials.createInsecure());
  client.makeUnaryRequest("/t.Echo/Echo", (b) => b, (b) => b, Buffer.from(word), async (failure, answer) => {
    if (failure) throw failure;
    const database = new pg.Client({ host: "127.0.0.1", port, connectionTimeoutMillis: 5000 });
    server.forceShutdown();
    const refused = await database.connect().then(() => "connected", (e) => e.code);
    const sample = readFileSync(new URL("../../sample/data.json", import.meta.url), "utf8");
    const migration = readFileSync(new URL("./migrations/0001_init.sql", import.meta.url), "utf8");
    log.info({ answer: answer.toString(), refused, sample, migration }, "done");
    client.close();
  });
});
`;

let project: string;

beforeEach(async () => {
  project = await mkdtemp(join(tmpdir(), "shopmesh-build-"));
  for (const file of ["build.mjs", "package.json"]) await cp(join(root, file), join(project, file));
  await symlink(join(root, "node_modules"), join(project, "node_modules"));
  await write("services/echo/main.ts", main);
  await write("services/echo/migrations/0001_init.sql", "select 1;");
  await write("services/unfinished/handlers.ts", "export const handlers = {};");
  await write("mesh/word.ts", `export const word: string = "hello";`);
  await write("sample/data.json", "[7]");
  await write("cli/main.ts", `import { word } from "#mesh/word.ts"; console.log(word, process.argv.slice(2).join());`);
});

afterEach(async () => {
  await rm(project, { recursive: true });
});

test("bundles run alone: packages, migrations and files beside the sources go along", BUILD, async () => {
  expect(await build()).toMatch(/^built 2 programs/);
  const { stdout } = await run(process.execPath, [join(project, "dist/services/echo/main.js")]);
  expect(JSON.parse(stdout)).toMatchObject({
    msg: "done",
    answer: "hello",
    refused: "ECONNREFUSED",
    sample: "[7]",
    migration: "select 1;",
  });
  expect(await files("dist")).toEqual([
    ".stamp",
    "cli/main.js",
    "cli/main.js.map",
    "sample/data.json",
    "services/echo/main.js",
    "services/echo/main.js.map",
    "services/echo/migrations/0001_init.sql",
  ]);
});

test("what a program loads only when it needs it is a bundle of its own", BUILD, async () => {
  await write(
    "services/echo/gateways/large.ts",
    `import { word } from "#mesh/word.ts"; export const large = word + " large";`,
  );
  await write(
    "services/echo/choose.ts",
    `export const choose = async () => (await import("./gateways/large.ts")).large;`,
  );
  await write("services/echo/main.ts", `import { choose } from "./choose.ts"; console.log(await choose());`);
  await build();
  const { stdout } = await run(process.execPath, [join(project, "dist/services/echo/main.js")]);
  expect(stdout).toBe("hello large\n");
  expect(await readFile(join(project, "dist/services/echo/main.js"), "utf8")).not.toContain(" large");
  expect(await files("dist/services/echo/gateways")).toEqual(["large.js", "large.js.map"]);
});

test("builds again after a change, and not without one", BUILD, async () => {
  await build();
  expect(await build()).toBe("dist/ is up to date\n");

  await write("mesh/word.ts", `export const word: string = "bye";`);
  await makeOlder("dist/.stamp");
  await rm(join(project, "services/echo"), { recursive: true });
  expect(await build()).toMatch(/^built 1 program /);
  expect(await files("dist")).toEqual([".stamp", "cli/main.js", "cli/main.js.map"]);
  const { stdout } = await run(process.execPath, [join(project, "dist/cli/main.js"), "up"]);
  expect(stdout).toBe("bye up\n");
});

test("fails when a bundle cannot be made, and leaves the last ones as they are", BUILD, async () => {
  await build();
  const before = await readFile(join(project, "dist/cli/main.js"), "utf8");
  await write("mesh/word.ts", "export const words = 1;");
  await makeOlder("dist/.stamp");
  await expect(build()).rejects.toThrow(/No matching export.*word/s);
  expect(await readFile(join(project, "dist/cli/main.js"), "utf8")).toBe(before);
});

test("fails when there is nothing to build", BUILD, async () => {
  for (const folder of ["services", "cli"]) await rm(join(project, folder), { recursive: true });
  await expect(build()).rejects.toThrow("nothing to build");
});

test("npx shopmesh builds first, and hands its words on", BUILD, async () => {
  await cp(join(root, "bin"), join(project, "bin"), { recursive: true });
  const { stdout } = await run(process.execPath, [join(project, "bin/shopmesh.mjs"), "status", "--json"]);
  expect(stdout).toBe("hello status,--json\n");
});

test(
  "npx shopmesh looks after a shop with the last build when the sources can't be built, and starts nothing",
  BUILD,
  async () => {
    await cp(join(root, "bin"), join(project, "bin"), { recursive: true });
    await build();
    await write("mesh/word.ts", "export const words = 1;");
    await makeOlder("dist/.stamp");
    const shopmesh = (command: string) =>
      run(process.execPath, [join(project, "bin/shopmesh.mjs"), ...command.split(" ")]);
    for (const command of ["status", "rollout cart --version v1", "canary cart --end"]) {
      const { stdout, stderr } = await shopmesh(command);
      expect(stdout).toBe(`hello ${command.replaceAll(" ", ",")}\n`);
      expect(stderr).toContain("the sources can't be built; this is the command of the last build");
    }
    for (const command of ["up", "rollout cart"]) await expect(shopmesh(command)).rejects.toMatchObject({ stdout: "" });
  },
);

async function build(): Promise<string> {
  const { stdout } = await run(process.execPath, [join(project, "build.mjs")]);
  return stdout;
}

/** Stands in for the time that passes between a build and the next edit: clocks of file systems can be coarse. */
async function makeOlder(path: string): Promise<void> {
  const past = new Date(Date.UTC(2020, 0));
  await utimes(join(project, path), past, past);
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(project, path)), { recursive: true });
  await writeFile(join(project, path), text);
}

async function files(folder: string): Promise<readonly string[]> {
  const entries = await readdir(join(project, folder), { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return paths.map((path) => path.slice(join(project, folder).length + 1)).toSorted();
}
