/** What each address holds of something that all callers share. */
export interface Shares {
  /** Takes one for an address; returns what gives it back, or undefined when the address has its share, or all are taken. */
  take(address: string): (() => void) | undefined;
}

export interface SharesOptions {
  /** How many there are. */
  readonly total: number;
  readonly perAddress: number;
}

export function createShares({ total, perAddress }: SharesOptions): Shares {
  const held = new Map<string, number>();
  let taken = 0;
  return {
    take(address) {
      const before = held.get(address) ?? 0;
      if (taken >= total || before >= perAddress) return undefined;
      taken += 1;
      held.set(address, before + 1);
      return () => {
        taken -= 1;
        const left = (held.get(address) ?? 0) - 1;
        if (left > 0) held.set(address, left);
        else held.delete(address);
      };
    },
  };
}
