import type { Clock } from "#mesh/clock.ts";

/** A clock that stands still until a test moves it. */
export interface FakeClock extends Clock {
  /** Sets the time; it may go backwards, as that of a machine may. */
  set(time: Date): void;
  /** Moves the time on by `ms` milliseconds. */
  advance(ms: number): void;
}

/** A clock that shows `start` (by default noon of 1 June 2026, UTC) until it is moved. */
export function fakeClock(start: Date = new Date("2026-06-01T12:00:00Z")): FakeClock {
  let time = start.getTime();
  return {
    now: () => new Date(time),
    set: (value) => {
      time = value.getTime();
    },
    advance: (ms) => {
      time += ms;
    },
  };
}
