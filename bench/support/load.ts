import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { LoadMessage, LoadPlan, LoadResult } from "./load-plan.ts";

/** What is done while the load runs. */
export interface LoadObserver {
  windowBegins(loadPid: number): Promise<void>;
  windowEnds(loadPid: number): Promise<void>;
}

/** Runs a load in a process of its own, to its end. Rejects when the process fails or the signal aborts it. */
export async function runLoad(plan: LoadPlan, observer: LoadObserver, signal: AbortSignal): Promise<LoadResult> {
  const child = fork(fileURLToPath(import.meta.resolve("./load-process.ts")), {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const abort = (): void => void child.kill("SIGKILL");
  signal.addEventListener("abort", abort);
  const exited = once(child, "exit");
  const pid = child.pid ?? 0;
  let observed = Promise.resolve();
  let result: LoadResult | undefined;
  // The process runs the code beside this file, and nothing else.
  child.on("message", (message: LoadMessage) => {
    if (message.kind === "window-begins") observed = observed.then(() => observer.windowBegins(pid));
    if (message.kind === "window-ends") observed = observed.then(() => observer.windowEnds(pid));
    if (message.kind === "finished") result = message.result;
  });
  try {
    child.send(plan);
    const [code] = await exited;
    await observed;
    if (result === undefined) throw new Error(`the load process ended with ${code ?? "a signal"} before its time`);
    return result;
  } finally {
    signal.removeEventListener("abort", abort);
    abort();
  }
}
