import type { Interrupt } from "./invocation.ts";

/** Aborts at the first Ctrl-C, or SIGTERM. The second one ends the process as if nobody listened. */
export function watchInterrupt(): Interrupt {
  const stop = new AbortController();
  const close = (): void => {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.off(name, onSignal);
  };
  const onSignal = (): void => {
    close();
    stop.abort();
  };
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, onSignal);
  return { signal: stop.signal, close };
}
