import type { Backend } from "./backend.ts";
import type { BackendSession } from "./backend-session.ts";

/** A place for a call: the instance whose turn it is, and a connection to it. */
export interface Place {
  readonly backend: Backend;
  readonly session: BackendSession;
}

/** Instances that take turns. */
export interface Rotation {
  readonly backends: readonly Backend[];
  /**
   * The next that takes a call now. One that is to be avoided, or is left out since it answers nobody, takes it only when
   * no other does. Instances that are not connected are dialled meanwhile, without waiting.
   */
  next(avoid: Backend | undefined): Place | undefined;
}

export function createRotation(backends: readonly Backend[]): Rotation {
  let turn = 0;
  return {
    backends,
    next(avoid) {
      let second: Place | undefined;
      for (let i = 0; i < backends.length; i++) {
        turn = (turn + 1) % backends.length;
        const backend = backends[turn];
        if (backend === undefined) continue;
        const session = backend.ready();
        if (session === undefined) {
          if (!backend.isFull() && backends.length > 1) backend.prepare();
        } else if (backend !== avoid && !backend.breaker.isOpen()) {
          return { backend, session };
        } else {
          second = better(second, { backend, session }, avoid);
        }
      }
      return second;
    },
  };
}

/** Of two that should not take the call: one that answers, though it is to be avoided; else the first. */
function better(first: Place | undefined, other: Place, avoid: Backend | undefined): Place {
  return first === undefined || (other.backend === avoid && !other.backend.breaker.isOpen()) ? other : first;
}
