/** Tells what is going on, and counts what has happened. */
export interface Progress {
  /** From now on this is told every few seconds. */
  begin(describe: () => string): void;
  say(text: string): void;
  /** Something was broken. */
  fault(what: string): void;
  /** A buyer did or met something. */
  event(what: string): void;
  readonly faults: ReadonlyMap<string, number>;
  readonly events: ReadonlyMap<string, number>;
  close(): void;
}

const everyMs = 5_000;

export function createProgress(print: (text: string) => void = console.log): Progress {
  const beginMs = performance.now();
  const faults = new Map<string, number>();
  const events = new Map<string, number>();
  const add = (counts: Map<string, number>, what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);
  const say = (text: string): void =>
    print(`${((performance.now() - beginMs) / 1_000).toFixed(0).padStart(5)} s  ${text}`);
  const total = (): number => [...faults.values()].reduce((sum, count) => sum + count, 0);
  let describe = (): string => "starting";
  const timer = setInterval(() => say(`${describe()}; ${total()} faults so far`), everyMs);
  return {
    begin(next) {
      describe = next;
    },
    say,
    fault: (what) => add(faults, what),
    event: (what) => add(events, what),
    faults,
    events,
    close: () => clearInterval(timer),
  };
}
