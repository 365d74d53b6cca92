import { failedTries, isFinalParcel, MAX_TRIES, type Parcel, type ScanKind, type Shipment } from "./domain-shipment.ts";

/** What a courier sees next of a parcel. The depot is empty on the road. */
export interface NextScan {
  readonly kind: ScanKind;
  readonly depot: string;
}

/** What comes next on the way of a parcel on which all goes well; undefined when it has no tours, or is where it ends. */
export function nextScan(parcel: Parcel, { direction }: Pick<Shipment, "direction">): NextScan | undefined {
  if (isFinalParcel(parcel.state) || parcel.legs.length === 0) return undefined;
  const steps = stepsOf(parcel, direction);
  if (parcel.state === "FAILED") {
    const start = steps.find(({ kind }) => kind === "SORTED")?.depot ?? "";
    return failedTries(parcel.scans) < MAX_TRIES
      ? { kind: "OUT_FOR_DELIVERY", depot: "" }
      : { kind: "RETURNED", depot: start };
  }
  const seen = new Set(parcel.scans.map(nameOf));
  // The last one stands for those before it that were not seen.
  return steps[steps.findLastIndex((step) => seen.has(nameOf(step))) + 1];
}

function stepsOf({ legs }: Parcel, direction: Shipment["direction"]): readonly NextScan[] {
  const stops = legs.flatMap(({ fromDepot, toDepot }) => (direction === "OUTBOUND" ? fromDepot : toDepot));
  const handed = stops.flatMap((depot): readonly NextScan[] => [
    { kind: "SORTED", depot },
    { kind: "LOADED", depot },
  ]);
  if (direction === "OUTBOUND") {
    // Out of the last depot it is loaded and driven in one.
    return [...handed.slice(0, -1), { kind: "OUT_FOR_DELIVERY", depot: "" }, { kind: "DELIVERED", depot: "" }];
  }
  const last = stops.at(-1) ?? "";
  return [{ kind: "LOADED", depot: "" }, ...handed.slice(0, -2), { kind: "DELIVERED", depot: last }];
}

function nameOf({ kind, depot }: NextScan): string {
  return `${kind} ${depot}`;
}
