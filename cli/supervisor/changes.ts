import { meshFailure } from "#mesh/contract/errors.ts";
import { fail, stopping } from "./failures.ts";

/** Which change of which service is asked for. */
export interface ChangeRequest {
  readonly method: string;
  readonly caller: string;
  readonly requestId: string;
  /** The whole request, so that another one under the same id is told from a copy. */
  readonly body: string;
  readonly service: string;
}

/** What a change works with. */
export interface ChangeWork<Step> {
  /** Tells everybody who follows the change. */
  tell(step: Step): void;
  /** Aborts when the shop is being stopped. */
  readonly signal: AbortSignal;
}

/** A change of a service that goes on, or has ended. */
export interface Change<Step, Outcome> {
  readonly outcome: Promise<Outcome>;
  /** All its steps from the first, as they come, until it ends or the signal aborts; never its failure. */
  follow(signal: AbortSignal): AsyncGenerator<Step>;
}

/** Runs changes: one of a service at a time, and each once, however often it is asked for. */
export interface Changes {
  /**
   * Begins a change, or finds the one that this is a copy of. Throws CHANGE_UNDER_WAY, or REQUEST_ID_REUSED. Whoever
   * asked may go away.
   */
  begin<Step, Outcome>(
    request: ChangeRequest,
    work: (work: ChangeWork<Step>) => Promise<Outcome>,
  ): Change<Step, Outcome>;
  /** Begins nothing from now on, and tells what goes on to give up. */
  stop(): void;
}

/** How many changes that succeeded are remembered; those that ended first are forgotten first. */
const maxRemembered = 200;

interface Known {
  readonly body: string;
  readonly change: Change<unknown, unknown>;
}

export function createChanges(): Changes {
  const ending = new AbortController();
  const known = new Map<string, Known>();
  const busy = new Set<string>();
  /** Those that succeeded, in the order in which they did. */
  const over = new Set<string>();
  const remember = (key: string): void => {
    over.add(key);
    for (const oldest of over) {
      if (over.size <= maxRemembered) return;
      over.delete(oldest);
      known.delete(oldest);
    }
  };
  return {
    begin<Step, Outcome>(request: ChangeRequest, work: (work: ChangeWork<Step>) => Promise<Outcome>) {
      const { method, caller, requestId, body, service } = request;
      const key = JSON.stringify([method, caller, requestId]);
      const found = known.get(key);
      if (found !== undefined) {
        if (found.body !== body) throw reused(requestId);
        // The method is part of the key, and so what it does is of the same types.
        return found.change as Change<Step, Outcome>;
      }
      if (ending.signal.aborted) throw stopping();
      if (busy.has(service)) throw fail("CHANGE_UNDER_WAY", `${service} is being changed already`, { service });
      busy.add(service);
      const change = createChange(work, ending.signal);
      known.set(key, { body, change });
      void change.outcome
        .then(
          () => remember(key),
          // What failed did nothing that lasts: it may be asked for again.
          () => known.delete(key),
        )
        .finally(() => busy.delete(service));
      return change;
    },
    stop: () => ending.abort(),
  };
}

function createChange<Step, Outcome>(
  work: (work: ChangeWork<Step>) => Promise<Outcome>,
  signal: AbortSignal,
): Change<Step, Outcome> {
  const steps: Step[] = [];
  let isOver = false;
  let waiting: (() => void)[] = [];
  const wake = (): void => {
    for (const resolve of waiting) resolve();
    waiting = [];
  };
  const tell = (step: Step): void => {
    steps.push(step);
    wake();
  };
  const outcome = work({ tell, signal }).finally(() => {
    isOver = true;
    wake();
  });
  return {
    outcome,
    async *follow(left) {
      left.addEventListener("abort", wake, { once: true });
      for (let told = 0; ; ) {
        for (const step of steps.slice(told)) {
          told += 1;
          yield step;
        }
        if (told < steps.length) continue;
        if (isOver || left.aborted) return;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
  };
}

function reused(requestId: string): Error {
  return meshFailure("REQUEST_ID_REUSED", `the request_id ${requestId} came before with another body`, {
    metadata: { request_id: requestId },
  });
}
