import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bindPublicSocket } from "#mesh/public-socket.ts";
import { createProcessLog, type ProcessLog } from "../logs/process-log.ts";
import {
  captureOutput,
  createWorkshop,
  isRunning,
  terminalTo,
  type Workshop,
  wellBehaved,
} from "../testing/programs.ts";
import { describeExit, type Program, type RunningProcess, startProcess } from "./process.ts";

let workshop: Workshop;

beforeAll(() => {
  workshop = createWorkshop();
});

afterAll(() => workshop.close());

async function startProgram(program: Program, log: ProcessLog): Promise<RunningProcess> {
  return startProcess(program, await program.env(), log);
}

function logTo(lines: string[]): ProcessLog {
  const file = { append: (text: string) => void lines.push(...text.trimEnd().split("\n")), close: () => undefined };
  return createProcessLog({ name: "probe", file, terminal: terminalTo(captureOutput()) });
}

test("is ready when it says so, and ends when asked", async () => {
  const running = await startProgram(workshop.program("good", wellBehaved), logTo([]));
  expect(await running.ready).toBe(true);
  const exit = await running.stop({ graceMs: 10_000 });
  expect(describeExit(exit)).toBe("exited with code 0");
  expect(await isRunning(running.pid)).toBe(false);
});

test("tells an end before it was ready, after everything it said", async () => {
  const lines: string[] = [];
  const program = workshop.program("early", `console.error("no database"); process.exitCode = 3;`);
  const running = await startProgram(program, logTo(lines));
  expect(await running.ready).toBe(false);
  expect(describeExit(await running.exited)).toBe("exited with code 3");
  expect(lines).toEqual(["no database"]);
});

test("kills a process that will not end, and what it started", async () => {
  const lines: string[] = [];
  const program = workshop.program(
    "stubborn",
    `import { spawn } from "node:child_process";
     process.on("SIGTERM", () => console.log("never"));
     const child = spawn("sleep", ["1000"], { stdio: "ignore" });
     console.log(String(child.pid));
     setInterval(() => {}, 1000);
     process.send({ type: "ready" });`,
  );
  const running = await startProgram(program, logTo(lines));
  await running.ready;
  const exit = await running.stop({ graceMs: 100 });
  expect(describeExit(exit)).toBe("ended by signal SIGKILL");
  expect(lines).toContain("never");
  expect(await isRunning(Number(lines[0]))).toBe(false);
});

test("waits for nobody once it is told to make haste", async () => {
  const program = workshop.program(
    "slow",
    `process.on("SIGTERM", () => process.send({ type: "asked" })); setInterval(() => {}, 1000); process.send({ type: "ready" });`,
  );
  const running = await startProgram(program, logTo([]));
  await running.ready;
  const hasten = new AbortController();
  const stopped = running.stop({ graceMs: 600_000, hasten: hasten.signal });
  hasten.abort();
  expect((await stopped).signal).toBeDefined();
  expect(await isRunning(running.pid)).toBe(false);
});

test("gets the environment it is given and nothing of ours", async () => {
  const lines: string[] = [];
  const program = workshop.program("env", `console.log(Object.keys(process.env).sort().join(" "));`, {
    env: { SHOPMESH_X: "1" },
  });
  process.env.SHOPMESH_SECRET_OF_TEST = "secret";
  try {
    await (await startProgram(program, logTo(lines))).exited;
  } finally {
    delete process.env.SHOPMESH_SECRET_OF_TEST;
  }
  const known = lines[0]?.split(" ").filter((name) => !name.startsWith("NODE_CHANNEL"));
  expect(known).toEqual(["PATH", "SHOPMESH_X"]);
});

test("lives in a process group of its own, where a terminal's Ctrl-C does not reach it", async () => {
  const lines: string[] = [];
  const program = workshop.program(
    "group",
    `import { execFileSync } from "node:child_process";
     console.log(execFileSync("ps", ["-o", "pgid=", "-p", String(process.pid)]).toString().trim());`,
  );
  const running = await startProgram(program, logTo(lines));
  await running.exited;
  expect(lines).toEqual([String(running.pid)]);
});

test("reports a program that cannot be started", async () => {
  const running = await startProgram(workshop.program("missing", ""), logTo([]));
  const gone = { ...workshop.program("gone", ""), file: "/nonexistent/program.mjs" };
  expect(await (await startProgram(gone, logTo([]))).ready).toBe(false);
  expect(await running.ready).toBe(false);
});

test("hands a socket to each that is started, and nobody is refused while one follows the other", async () => {
  const socket = await bindPublicSocket({ host: "127.0.0.1", port: 0 });
  const program = workshop.program(
    "acceptor",
    `import { createServer } from "node:net";
     const server = createServer((peer) => peer.end(String(process.pid)));
     process.on("message", (_, handle) => server.listen(handle, () => process.send({ type: "ready" })));
     process.on("SIGTERM", () => server.close(() => process.exit(0)));`,
  );
  const ask = async (): Promise<number> => {
    const peer = connect(socket.port, "127.0.0.1");
    const [answer] = await once(peer, "data");
    return Number(answer);
  };
  const startOne = async (): Promise<RunningProcess> => {
    const running = await startProgram({ ...program, socket }, logTo([]));
    expect(await running.ready).toBe(true);
    return running;
  };
  const first = await startOne();
  expect(await ask()).toBe(first.pid);
  first.kill();
  await first.exited;
  const waiting = ask();
  const second = await startOne();
  expect(await waiting).toBe(second.pid);
  const third = await startOne();
  await second.stop({ graceMs: 10_000 });
  expect(await ask()).toBe(third.pid);
  await third.stop({ graceMs: 10_000 });
  socket.close();
});
