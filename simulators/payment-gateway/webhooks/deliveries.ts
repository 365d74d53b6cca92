import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { openJournal } from "../journal.ts";

/** How long a delivery may be known in memory alone. Those that a crash forgets are made again. */
const NOTE_INTERVAL_MS = 500;
/** Places that one entry of the journal names; far less than fits into one. */
const PLACES_PER_ENTRY = 5_000;

/** Which events need not be sent any more: the cursor of the sender. Events go by their place. */
export interface Deliveries {
  /** All before it are done. */
  first(): number;
  isDone(place: number): boolean;
  /** The event was acknowledged, or given up. */
  done(place: number, how: "acknowledged" | "given_up"): void;
  readonly counts: { readonly acknowledged: number; readonly given_up: number };
  /** Writes what is not written yet. */
  close(): Promise<void>;
}

interface Entry {
  /** The place with which the sending began; those before are nobody's. */
  readonly from?: number;
  readonly acknowledged?: readonly number[];
  readonly given_up?: readonly number[];
}

/** Opens the cursor in a data folder; a new one begins with the event at `begin`. */
export async function openDeliveries(dataDir: string, begin: number, log: Pick<Logger, "error">): Promise<Deliveries> {
  const counts = { acknowledged: 0, given_up: 0 };
  // Done places from `first` on, with gaps between them.
  const beyond = new Set<number>();
  let first: number | undefined;
  const advance = (): void => {
    while (first !== undefined && beyond.delete(first)) first += 1;
  };
  const enter = ({ from, acknowledged = [], given_up = [] }: Entry): void => {
    first ??= from;
    for (const place of [...acknowledged, ...given_up]) beyond.add(place);
    counts.acknowledged += acknowledged.length;
    counts.given_up += given_up.length;
    advance();
  };
  // The journal has compared each line with its checksum, and nothing but this file makes such lines.
  const { journal } = await openJournal(join(dataDir, "webhooks"), (text) => enter(JSON.parse(text) as Entry));
  if (first === undefined) {
    journal.append(JSON.stringify({ from: begin } satisfies Entry));
    first = begin;
  }

  const unwritten = { acknowledged: [] as number[], given_up: [] as number[] };
  const write = (): void => {
    for (const how of ["acknowledged", "given_up"] as const) {
      const places = unwritten[how].splice(0);
      for (let at = 0; at < places.length; at += PLACES_PER_ENTRY) {
        journal.append(JSON.stringify({ [how]: places.slice(at, at + PLACES_PER_ENTRY) } satisfies Entry));
      }
    }
  };
  const closing = new AbortController();
  let writing: Promise<void> | undefined;
  const writeSoon = async (): Promise<void> => {
    await sleep(NOTE_INTERVAL_MS, undefined, { signal: closing.signal }).catch(() => undefined);
    writing = undefined;
    write();
    await journal.flushed();
  };
  return {
    counts,
    first: () => first ?? begin,
    isDone: (place) => place < (first ?? begin) || beyond.has(place),
    done(place, how) {
      beyond.add(place);
      advance();
      counts[how] += 1;
      unwritten[how].push(place);
      writing ??= writeSoon().catch((error) => log.error({ err: error }, "deliveries of webhooks cannot be noted"));
    },
    async close() {
      closing.abort();
      await writing;
      await journal.close();
    },
  };
}
