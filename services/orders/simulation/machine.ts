import type * as domain from "../domain.ts";

type Transition = typeof domain.transition;

/** Stands between `drive.ts` and the machine: it counts the edges that orders take, and a test can bend it. */
export const lens: {
  /** By state, step and what happened there. */
  taken: Map<string, number>;
  bend: (real: Transition) => Transition;
} = {
  taken: new Map(),
  bend: (real) => real,
};

/** The machine seen through the lens. */
export function throughLens(real: typeof domain): typeof domain {
  return {
    ...real,
    transition: (saga, event) => {
      const moved = lens.bend(real.transition)(saga, event);
      if (moved.ok) {
        const edge = `${saga.state}/${saga.step} ${event.kind}`;
        lens.taken.set(edge, (lens.taken.get(edge) ?? 0) + 1);
      }
      return moved;
    },
  };
}
