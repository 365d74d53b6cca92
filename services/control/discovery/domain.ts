/** One process that follows the mesh. */
export interface Watcher {
  readonly services: ReadonlySet<string>;
  /** The version of the last response that it was sent; zero when there was none. */
  readonly sent: bigint;
  /** The version of the last response that is in force there. */
  readonly acknowledged: bigint;
}

/** What changed: a service's endpoints or rules, or the authorities, which concern everybody. */
export type Subject = { readonly service: string } | "trust";

/** The services as what has changed. */
export function subjectsOf(services: ReadonlySet<string>): readonly Subject[] {
  return [...services].map((service) => ({ service }));
}

/** When what changed last, in versions. A version is one published state of all that there is to know. */
export interface Bulletin {
  /** That of the present state. */
  readonly version: bigint;
  /** Makes the next version, in which these are other than before. */
  publish(subjects: readonly Subject[]): bigint;
  /** Whether there is something that this watcher was not sent yet. */
  isBehind(watcher: Watcher): boolean;
  /** Whether this watcher may still go by what was before the last change of a subject. */
  mayGoByOld(watcher: Watcher, subject: Subject): boolean;
}

/** Versions grow from `first` on. */
export function createBulletin(first: bigint): Bulletin {
  let version = first;
  let trustChanged = first;
  const changed = new Map<string, bigint>();

  const changedAt = (subject: Subject): bigint =>
    subject === "trust" ? trustChanged : (changed.get(subject.service) ?? first);

  const newestFor = ({ services }: Watcher): bigint => {
    let newest = trustChanged;
    for (const service of services) {
      const at = changedAt({ service });
      if (at > newest) newest = at;
    }
    return newest;
  };

  return {
    get version() {
      return version;
    },
    publish(subjects) {
      version += 1n;
      for (const subject of subjects) {
        if (subject === "trust") trustChanged = version;
        else changed.set(subject.service, version);
      }
      return version;
    },
    isBehind: (watcher) => watcher.sent < newestFor(watcher),
    mayGoByOld(watcher, subject) {
      if (subject !== "trust" && !watcher.services.has(subject.service)) return false;
      return watcher.acknowledged < changedAt(subject);
    },
  };
}

/** Leaves room for more changes than a control plane can publish between two starts, second after second. */
const VERSIONS_PER_TERM = 2n ** 24n;

/** One life of the control plane. Its versions are above those of all terms before, also when the clock went back. */
export function nextTerm(last: number, now: Date): number {
  return Math.max(last + 1, Math.floor(now.getTime() / 1_000));
}

/** The first version of a term. */
export function firstVersionOf(term: number): bigint {
  return BigInt(term) * VERSIONS_PER_TERM;
}
