import { nextTurn, type Pace } from "../pace.ts";
import type { Subject } from "./domain.ts";

/** How long changes are gathered before they are told together. */
const GATHER_MS = 5;
/**
 * How often it is told that the same subject has changed. Each time costs a response to each watcher, and whoever
 * registers a service's instances can change it as often as it likes: it then waits, and nobody else does.
 */
const SUBJECT_PACE: Pace = { burst: 20, everyMs: 200 };
/** Of how many subjects it is remembered when they were told; of those that need not wait, nothing need be known. */
const MAX_REMEMBERED = 1_000;

/** Changes that are to be told: gathered for a moment, and put off while a subject changes too often. None is lost. */
export interface Announcements {
  add(subjects: readonly Subject[]): void;
  /** Whether there is a change of it that was not told yet. */
  isWaiting(subject: Subject): boolean;
  /** Resolves when what was added of a subject is told. */
  told(subject: Subject): Promise<void>;
  /** Tells what waits, and takes nothing more. */
  close(): void;
}

interface Waiting {
  readonly subject: Subject;
  readonly dueMs: number;
  readonly told: Promise<void>;
  readonly resolve: () => void;
}

export function createAnnouncements(tell: (subjects: readonly Subject[]) => void): Announcements {
  const waiting = new Map<string, Waiting>();
  const turns = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;

  const schedule = (): void => {
    clearTimeout(timer);
    if (waiting.size === 0) return;
    const firstMs = Math.min(...[...waiting.values()].map(({ dueMs }) => dueMs));
    timer = setTimeout(() => tellUntil(performance.now() + GATHER_MS), firstMs - performance.now());
  };
  const tellUntil = (endMs: number): void => {
    const due = [...waiting].filter(([, { dueMs }]) => dueMs <= endMs);
    for (const [key] of due) waiting.delete(key);
    if (due.length > 0) tell(due.map(([, { subject }]) => subject));
    for (const [, { resolve }] of due) resolve();
    schedule();
  };
  const dueOf = (key: string, nowMs: number): number => {
    if (turns.size >= MAX_REMEMBERED) {
      for (const [other, after] of turns) if (after <= nowMs) turns.delete(other);
    }
    const { waitMs, after } = nextTurn(SUBJECT_PACE, turns.get(key), nowMs);
    turns.set(key, after);
    return nowMs + Math.max(GATHER_MS, waitMs);
  };
  return {
    add(subjects) {
      if (isClosed) return;
      const nowMs = performance.now();
      for (const subject of subjects) {
        const key = keyOf(subject);
        if (!waiting.has(key)) waiting.set(key, { subject, dueMs: dueOf(key, nowMs), ...settled() });
      }
      schedule();
    },
    isWaiting: (subject) => waiting.has(keyOf(subject)),
    told: async (subject) => waiting.get(keyOf(subject))?.told,
    close() {
      isClosed = true;
      tellUntil(Number.POSITIVE_INFINITY);
    },
  };
}

function keyOf(subject: Subject): string {
  return subject === "trust" ? subject : `service ${subject.service}`;
}

function settled(): Pick<Waiting, "told" | "resolve"> {
  let resolve = (): void => {};
  const told = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { told, resolve };
}
