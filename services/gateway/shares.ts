/** What each address holds of something that all callers share. */
export interface Shares {
  /** Takes one for an address; returns what gives it back, or undefined when the address has its share already. */
  take(address: string): (() => void) | undefined;
}

export function createShares(perAddress: number): Shares {
  const held = new Map<string, number>();
  return {
    take(address) {
      const before = held.get(address) ?? 0;
      if (before >= perAddress) return undefined;
      held.set(address, before + 1);
      return () => {
        const left = (held.get(address) ?? 0) - 1;
        if (left > 0) held.set(address, left);
        else held.delete(address);
      };
    },
  };
}
