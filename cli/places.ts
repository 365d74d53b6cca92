import { findFreePorts, releasePort } from "./checks/ports.ts";
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
      const ports = await findFreePorts(kinds.length);
      // Nothing is awaited from here on, so that two who take at once never get the same.
      const places: Place[] = [];
      for (const [index, kind] of kinds.entries()) {
        const found = ports[index] ?? 0;
        const port = kind.name === gatewayName ? publicPort : found;
        if (port !== found) releasePort(found);
        const place = { name: freeName(kind), kind, port };
        taken = [...taken, place];
        places.push(place);
      }
      return places;
    },
    giveBack(name) {
      for (const { port } of taken.filter((place) => place.name === name)) releasePort(port);
      taken = taken.filter((place) => place.name !== name);
    },
    all: () => taken,
  };
}
