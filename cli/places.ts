import { findFreePorts } from "./checks/ports.ts";
import { gatewayName, instanceName, type Kind, maxInstances } from "./topology.ts";

/** One process among those of its kind: what it is called, and where it listens. */
export interface Place {
  /** `cart-2`: no other process has this name while it has it. */
  readonly name: string;
  readonly kind: Kind;
  readonly port: number;
}

/** Who has which name and which port. */
export interface Places {
  /** Takes the lowest numbers of each kind that are free, with a port for each. */
  take(kinds: readonly Kind[]): Promise<readonly Place[]>;
  giveBack(name: string): void;
  all(): readonly Place[];
}

// A canary, and one that is about to take the place of another.
const maxAtOnce = maxInstances + 2;

/** Names and ports for the processes of one run. `publicPort` is that of all gateways, and theirs alone. */
export function createPlaces(publicPort: number): Places {
  let taken: readonly Place[] = [];

  const freeName = (kind: Kind): string => {
    for (let number = 1; number <= maxAtOnce; number++) {
      const name = instanceName(kind, number);
      if (!taken.some((place) => place.name === name)) return name;
    }
    throw new Error(`there are ${maxAtOnce} of ${kind.name} already`);
  };
  return {
    async take(kinds) {
      let ports: readonly number[];
      // Again when one of ours has such a port and is just not listening: at its start, or between two lives.
      do ports = await findFreePorts(kinds.length);
      while (taken.some(({ port }) => ports.includes(port)));
      // Nothing is awaited from here on, so that two who take at once never get the same.
      const places: Place[] = [];
      for (const [index, kind] of kinds.entries()) {
        const port = kind.name === gatewayName ? publicPort : (ports[index] ?? 0);
        const place = { name: freeName(kind), kind, port };
        taken = [...taken, place];
        places.push(place);
      }
      return places;
    },
    giveBack(name) {
      taken = taken.filter((place) => place.name !== name);
    },
    all: () => taken,
  };
}
