import { beforeAll, describe, expect, test } from "vitest";
import {
  checkDependencies,
  checkLock,
  checkMigrations,
  checkProject,
  checkServices,
  importGraph,
  type Project,
  readProject,
} from "./codegen/tidy/project.ts";
import { checkSource } from "./codegen/tidy/rules.ts";
import { readSource } from "./codegen/tidy/source.ts";

// What a machine can see of the style guide, over the whole project; then every rule over a snippet that breaks it,
// because a rule that cannot fail holds whatever the project is like.

describe("the project", () => {
  let project: Project;

  beforeAll(async () => {
    project = await readProject(import.meta.dirname);
  });

  test("keeps every rule", () => {
    expect(checkProject(project).join("\n")).toBe("");
  });

  test("was really read: every program reaches the mesh and the contracts", () => {
    const graph = importGraph(project);
    const mains = [...graph.keys()].filter((path) => /^services\/[^/]+\/main\.ts$/.test(path));
    expect(mains.length).toBeGreaterThan(0);
    for (const main of mains) {
      const reached = [...reachable(graph, main)];
      expect(reached.length, main).toBeGreaterThan(10);
      expect(
        reached.some((path) => path.startsWith("mesh/")),
        main,
      ).toBe(true);
    }
    expect([...graph.values()].flat().some((path) => path.startsWith("gen/shop/"))).toBe(true);
  });
});

describe("lengths", () => {
  test("of a file", () => {
    expect(problems("mesh/a.ts", "// line\n".repeat(300))).toEqual([]);
    expect(problems("mesh/a.ts", "// line\n".repeat(301))).toEqual(["mesh/a.ts has 301 lines"]);
  });

  test.each([
    ["a function", (body: string) => `function f() {\n${body}}`],
    ["an arrow function", (body: string) => `const f = async () => {\n${body}};`],
    ["a method", (body: string) => `class C {\n  f() {\n${body}}\n}`],
    ["a test", (body: string) => `describe.each([1])("group", () => {\n  test("one", () => {\n${body}});\n});`],
  ])("of %s", (_, wrap) => {
    expect(problems("mesh/a.test.ts", wrap("  g();\n".repeat(58)))).toEqual([]);
    expect(problems("mesh/a.test.ts", wrap("  g();\n".repeat(59)))).toEqual([
      expect.stringMatching(/^mesh\/a\.test\.ts:[12] is a function of 61 lines$/),
    ]);
  });

  test("of a group of tests is free", () => {
    const text = `describe("group", () => {\n${'  test("one", () => {});\n'.repeat(100)}});`;
    expect(problems("mesh/a.test.ts", text)).toEqual([]);
  });
});

describe("what only its owner may touch", () => {
  test.each([
    ["Date.now", "const t = Date.now();", "mesh/clock.ts"],
    ["Date.now", "const now = globalThis.Date.now;", "mesh/clock.ts"],
    ["new Date()", "const t = new Date();", "mesh/clock.ts"],
    ["Math.random", "const r = Math.random();", "mesh/ids.ts"],
    ["process.env", "const home = process.env.HOME;", "mesh/config.ts"],
    ["process.env", "const { HOME } = process['env'];", "cli/main.ts"],
    ["process.env", 'import { env } from "node:process";', "cli/main.ts"],
    ["grpc.experimental", 'import { experimental } from "@grpc/grpc-js";', "mesh/discovery/resolver.ts"],
    [
      "grpc.experimental",
      'import * as grpc from "@grpc/grpc-js";\ngrpc.experimental.x();',
      "mesh/discovery/balancer.ts",
    ],
  ])("%s: %s", (what, text, owner) => {
    expect(problems(owner, text)).toEqual([]);
    expect(problems("services/cart/store.ts", text)).toEqual([
      expect.stringMatching(`^services/cart/store.ts:[12] uses ${what.replace("()", "\\(\\)")}, which belongs to`),
    ]);
  });

  test("tests may look at the real clock and environment, and still not throw dice", () => {
    expect(problems("services/cart/a.test.ts", "Date.now(); new Date(); process.env.HOME;")).toEqual([]);
    expect(problems("services/cart/a.test.ts", "Math.random();")).toHaveLength(1);
  });

  test("a date made of a number is no clock", () => {
    expect(problems("services/cart/domain.ts", "export const end = new Date(0);")).toEqual([]);
  });
});

describe("who may import whom", () => {
  const allowed: readonly (readonly [string, string])[] = [
    ["services/cart/main.ts", "#mesh/mesh.ts"],
    ["services/cart/main.ts", "#gen/contracts.ts"],
    ["services/cart/handlers/add-item.ts", "../store.ts"],
    ["services/cart/store.ts", "pg"],
    ["services/cart/store.ts", "node:crypto"],
    ["services/cart/store.test.ts", "#testing/database.ts"],
    ["services/cart/store.test.ts", "../../simulators/bank/main.ts"],
    ["services/cart/domain-money.ts", "./domain.ts"],
    ["services/cart/domain.ts", "#mesh/result.ts"],
    ["services/cart/domain.test.ts", "fast-check"],
    ["mesh/mesh.test.ts", "#testing/database.ts"],
    ["testing/database.ts", "#mesh/mesh.ts"],
    ["e2e/shop.test.ts", "../services/cart/store.ts"],
    ["cli/main.ts", "#mesh/mesh.ts"],
  ];
  test.each(allowed)("%s may import %s", (from, specifier) => {
    expect(problems(from, `import { x } from "${specifier}";`)).toEqual([]);
  });

  const refused: readonly (readonly [string, string, string])[] = [
    ["services/cart/store.ts", "../orders/store.ts", "a service imports gen, mesh and its own folder only"],
    ["services/cart/store.test.ts", "../orders/store.ts", "a service imports gen, mesh and its own folder only"],
    ["services/cart/store.ts", "../../cli/main.ts", "a service imports gen, mesh and its own folder only"],
    ["services/cart/store.ts", "../../simulators/bank/main.ts", "a service imports gen, mesh and its own folder only"],
    ["services/cart/store.ts", "#testing/database.ts", "only tests import test support"],
    ["services/cart/store.ts", "./testing/shop.ts", "only tests import test support"],
    [
      "simulators/bank/main.ts",
      "../../services/orders/store.ts",
      "a service imports gen, mesh and its own folder only",
    ],
    ["mesh/mesh.ts", "../services/orders/store.ts", "the mesh imports gen only"],
    ["mesh/mesh.ts", "../cli/main.ts", "the mesh imports gen only"],
    ["mesh/mesh.ts", "#testing/database.ts", "only tests import test support"],
    ["cli/main.ts", "../services/orders/store.ts", "a service is called, not imported"],
    ["e2e/shop.test.ts", "../bench/support/load.ts", "measurements use tests, not the other way round"],
    ["services/cart/domain.ts", "pg", "domain code imports its own domain files and mesh/result.ts only"],
    ["services/cart/domain.ts", "node:crypto", "domain code imports its own domain files and mesh/result.ts only"],
    [
      "services/cart/domain.ts",
      "#gen/contracts.ts",
      "domain code imports its own domain files and mesh/result.ts only",
    ],
    ["services/cart/domain.ts", "./store.ts", "domain code imports its own domain files and mesh/result.ts only"],
    [
      "services/cart/domain-money.ts",
      "../orders/domain.ts",
      "domain code imports its own domain files and mesh/result.ts only",
    ],
    ["services/cart/store.ts", "./nowhere.ts", "leads nowhere"],
    ["services/cart/store.ts", "#gone/x.ts", "leads nowhere"],
  ];
  test.each(refused)("%s may not import %s", (from, specifier, problem) => {
    expect(problems(from, `import { x } from "${specifier}";`)).toEqual([`${from}:1 imports ${specifier}: ${problem}`]);
  });

  test.each([
    'import type { X } from "../orders/store.ts";',
    'export { x } from "../orders/store.ts";',
    'export * from "../orders/store.ts";',
    'const x = await import("../orders/store.ts");',
    'type X = import("../orders/store.ts").X;',
  ])("however it is written: %s", (text) => {
    expect(problems("services/cart/store.ts", text)).toHaveLength(1);
  });
});

describe("files that must be there", () => {
  test("a README for every service", () => {
    expect(checkServices(new Set(["services/cart/main.ts", "services/cart/README.md"]))).toEqual([]);
    expect(checkServices(new Set(["services/cart/main.ts"]))).toEqual(["services/cart/README.md is missing"]);
  });

  test("migrations without a gap", () => {
    const folder = "services/cart/migrations";
    expect(checkMigrations(new Set([`${folder}/0001_init.sql`, `${folder}/0002_more.sql`]))).toEqual([]);
    for (const second of ["0003_more.sql", "0001_more.sql", "2_more.sql", "0002-more.sql", "0002_more.txt"]) {
      expect(checkMigrations(new Set([`${folder}/0001_init.sql`, `${folder}/${second}`])), second).toHaveLength(1);
    }
  });

  test("an exact version and a line of reasons for every dependency", () => {
    const manifest = { dependencies: { pg: "8.1.0" }, devDependencies: { "@a/b": "1.0.0-beta.2" } };
    const text = "| `pg` | x |\n| `@a/b` | y |\n";
    expect(checkDependencies(manifest, text)).toEqual([]);
    expect(checkDependencies(manifest, "| `pg` | x |\n")).toEqual(["docs/dependencies.md has no line for @a/b"]);
    expect(checkDependencies(manifest, `${text}| \`gone\` | z |\n`)).toEqual(["docs/dependencies.md names gone"]);
    for (const version of ["^8.1.0", "~8.1.0", "8", "latest"]) {
      expect(checkDependencies({ dependencies: { pg: version } }, "| `pg` |"), version).toHaveLength(1);
    }
  });

  test("a lock that any registry can serve, for any platform", () => {
    const good = { version: "1.0.0", optionalDependencies: { "a-linux": "1.0.0" } };
    const linux = { version: "1.0.0", os: ["linux"] };
    const packages = { "": { name: "shop" }, "node_modules/a": good, "node_modules/a-linux": linux };
    expect(checkLock({ packages })).toEqual([]);
    expect(checkLock({ packages: { "node_modules/a": good } })).toEqual([
      expect.stringContaining("leaves out a-linux"),
    ]);
    expect(checkLock({ packages: { "node_modules/a": { resolved: "x" } } })).toEqual([
      expect.stringContaining('"resolved"'),
    ]);
    const hosted = { funding: { url: "https://registry.shop.example/a" } };
    expect(checkLock({ packages: { "node_modules/a": hosted } })).toEqual([
      expect.stringContaining("names a registry"),
    ]);
    expect(checkLock({})).toEqual(["package-lock.json names no packages"]);
  });
});

test("a file that cannot be parsed is an error, not an empty file", () => {
  expect(() => readSource("mesh/a.ts", "const = 1;")).toThrow("mesh/a.ts cannot be parsed");
});

/** Every rule for one file, in a project that has the files which the snippets import. */
function problems(path: string, text: string): readonly string[] {
  const files = new Set([
    "bench/support/load.ts",
    "cli/main.ts",
    "gen/contracts.ts",
    "mesh/mesh.ts",
    "mesh/result.ts",
    "services/cart/domain.ts",
    "services/cart/store.ts",
    "services/cart/testing/shop.ts",
    "services/orders/domain.ts",
    "services/orders/store.ts",
    "simulators/bank/main.ts",
    "testing/database.ts",
  ]);
  const subpaths = { "#gen/*": "./gen/*", "#mesh/*": "./mesh/*", "#testing/*": "./testing/*" };
  return checkSource(readSource(path, text), { has: (file) => files.has(file), subpaths });
}

function reachable(graph: ReadonlyMap<string, readonly string[]>, from: string): ReadonlySet<string> {
  const seen = new Set<string>();
  const waiting = [from];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    for (const target of graph.get(path) ?? []) {
      if (seen.has(target)) continue;
      seen.add(target);
      waiting.push(target);
    }
  }
  return seen;
}
