import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { SourceMap, type SourceMapPayload } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { sum, table } from "../../e2e/support/figures.ts";
import type { Watched } from "../../e2e/support/shop.ts";

/** Processor profiles of the shop's Node.js processes, one file each, for the span between two calls of `toggle`. */
export interface Profiling {
  /** Where the programs stand that can be profiled: as those of `dist/`, behind a few lines of ours. */
  readonly programsDir: URL;
  /** Begins to profile, or ends it and writes the files. */
  toggle(processes: readonly Watched[]): void;
  /** For people: in which sources the time went, of each process. */
  summarize(): Promise<string>;
}

const signal = "SIGUSR2";
const programFolders = ["services", "simulators"] as const;
const mostRows = 12;

/** Prepares profiling into a folder. */
export async function createProfiling(folder: string, builtPrograms: URL): Promise<Profiling> {
  const programs = join(folder, "programs");
  await mkdir(programs, { recursive: true });
  await writeFile(join(programs, "package.json"), '{ "type": "module" }\n');
  const names: string[] = [];
  for (const kind of programFolders) {
    for (const name of await readdir(new URL(`${kind}/`, builtPrograms))) {
      names.push(name);
      await mkdir(join(programs, kind, name), { recursive: true });
      const built = new URL(`${kind}/${name}/`, builtPrograms);
      // What stands beside a program belongs to it: its migrations tell that it owns data.
      for (const beside of (await readdir(built)).filter((file) => !file.startsWith("main.js"))) {
        await symlink(fileURLToPath(new URL(beside, built)), join(programs, kind, name, beside));
      }
      const program = new URL("main.js", built).href;
      await writeFile(join(programs, kind, name, "main.js"), wrapper(program, profileFile(folder, name)));
    }
  }
  return {
    programsDir: pathToFileURL(`${programs}/`),
    toggle(processes) {
      for (const { name, pid } of processes) if (names.includes(name)) process.kill(pid, signal);
    },
    async summarize() {
      const parts = await Promise.all(names.map((name) => summarizeOne(name, profileFile(folder, name))));
      return parts.join("\n\n");
    },
  };
}

function profileFile(folder: string, name: string): string {
  return join(folder, `${name}.cpuprofile`);
}

function wrapper(program: string, file: string): string {
  return `import { Session } from "node:inspector";
import { writeFileSync } from "node:fs";
let session;
process.on(${JSON.stringify(signal)}, () => {
  if (session === undefined) {
    session = new Session();
    session.connect();
    session.post("Profiler.enable");
    session.post("Profiler.setSamplingInterval", { interval: 1000 });
    session.post("Profiler.start");
    return;
  }
  session.post("Profiler.stop", (error, answer) => writeFileSync(${JSON.stringify(file)}, JSON.stringify(answer.profile)));
  session.disconnect();
  session = undefined;
});
await import(${JSON.stringify(program)});
`;
}

/** The parts of V8's profile format that we read. Times in microseconds. */
interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: CallFrame;
}

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
  readonly columnNumber: number;
}

async function summarizeOne(name: string, file: string): Promise<string> {
  // V8 wrote it, whose format this is.
  const profile = JSON.parse(await readFile(file, "utf8")) as CpuProfile;
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  const locate = await createLocator(profile);
  const sources = new Map<string, number>();
  const functions = new Map<string, number>();
  const add = (times: Map<string, number>, key: string, us: number): void =>
    void times.set(key, (times.get(key) ?? 0) + us);
  let idleUs = 0;
  for (const [index, id] of profile.samples.entries()) {
    const frame = frames.get(id);
    const us = profile.timeDeltas[index] ?? 0;
    if (frame === undefined) continue;
    if (frame.functionName === "(idle)") {
      idleUs += us;
      continue;
    }
    const { source, place } = locate(frame);
    add(sources, source, us);
    add(functions, place, us);
  }
  const busyUs = sum(sources.values());
  const rows = (times: ReadonlyMap<string, number>): readonly (readonly string[])[] =>
    [...times]
      .toSorted(([, a], [, b]) => b - a)
      .slice(0, mostRows)
      .map(([key, us]) => [key, (us / 1000).toFixed(0), ((100 * us) / busyUs).toFixed(1)]);
  return [
    `${name}: busy ${((100 * busyUs) / (busyUs + idleUs)).toFixed(0)} % of the time`,
    table(["source (own time)", "ms", "% of busy"], rows(sources)),
    table(["function (own time)", "ms", "% of busy"], rows(functions)),
  ].join("\n\n");
}

/** Where a function was written. */
interface Location {
  /** The package, for what comes from npm; the file, for what is ours or Node.js's own. */
  readonly source: string;
  /** The function in its file. */
  readonly place: string;
}

async function createLocator({ nodes }: CpuProfile): Promise<(frame: CallFrame) => Location> {
  const urls = new Set(nodes.map(({ callFrame }) => callFrame.url).filter((url) => url.startsWith("file:")));
  const maps = new Map<string, SourceMap>();
  for (const url of urls) {
    const text = await readFile(`${fileURLToPath(url)}.map`, "utf8").catch(() => undefined);
    // esbuild wrote it, beside the program.
    if (text !== undefined) maps.set(url, new SourceMap(JSON.parse(text) as SourceMapPayload));
  }
  return ({ functionName, url, lineNumber, columnNumber }) => {
    const name = functionName === "" ? "(anonymous)" : functionName;
    if (url === "") return { source: name, place: name };
    const entry = maps.get(url)?.findEntry(lineNumber, columnNumber);
    const found = entry !== undefined && "originalSource" in entry ? entry : undefined;
    const path = (found?.originalSource ?? url).replace(/^(\.\.\/)+/, "");
    const packageName = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1];
    const line = (found?.originalLine ?? lineNumber) + 1;
    return { source: packageName ?? path, place: `${name} ${path.replace(/^.*node_modules\//, "")}:${line}` };
  };
}
