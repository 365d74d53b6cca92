import type {
  Cluster,
  StreamResourcesRequest,
  StreamResourcesResponse,
  TrustBundle,
} from "#gen/mesh/v1/discovery_service.ts";
import { type Bell, createBell } from "../bell.ts";
import { paced, STREAM_PACE } from "../pace.ts";
import { type Announcements, createAnnouncements } from "./announcements.ts";
import type { Bulletin, Subject, Watcher } from "./domain.ts";

/** How many processes may follow. */
export const MAX_WATCHERS = 1_000;
/** Of them, those of one service: whoever takes one over must not keep all others from following. */
export const MAX_WATCHERS_PER_SERVICE = 500;
/** Of how many services the state is kept until it changes: names that watchers think up are no more than that. */
const MAX_KEPT_CLUSTERS = 1_000;

export interface PublisherOptions {
  readonly bulletin: Bulletin;
  /** The present state of a service. Asked once a version, however many watch it. */
  readonly clusterOf: (service: string) => Cluster;
  /** Whom to trust at present. Asked once a version. */
  readonly trust: () => TrustBundle;
  readonly tooMany: () => Error;
}

/** Tells every watcher what changed. Each has at most one response on its way; whatever changes meanwhile is in the next. */
export interface Publisher {
  /** Says that something is other than before. It is sent within milliseconds, or later when it changes too often. */
  changed(subjects: readonly Subject[]): void;
  /** Resolves when what was said to have changed of a subject is on its way to the watchers. */
  published(subject: Subject): Promise<void>;
  /**
   * Resolves with true when everybody who could go by the former state of a subject has acknowledged the present one or
   * has left, and with false when that takes longer. Never rejects.
   */
  acknowledged(subject: Subject, timeoutMs: number): Promise<boolean>;
  /** Whether everybody has acknowledged the present state of a subject. */
  isKnown(subject: "trust"): boolean;
  /** What one watcher, a process of `workload`, is sent for as long as it sends requests and `signal` does not abort. */
  follow(
    workload: string,
    requests: AsyncIterable<StreamResourcesRequest>,
    signal: AbortSignal,
  ): AsyncGenerator<StreamResourcesResponse>;
  /** Ends all streams and all waits. */
  close(): void;
}

/** A watcher's stream, and how far it has come. */
interface Follower extends Watcher {
  readonly workload: string;
  services: ReadonlySet<string>;
  sent: bigint;
  acknowledged: bigint;
  /** A response is due whatever changed: it is the first one, or the first after another subscription. */
  asked: boolean;
  ended: boolean;
  readonly bell: Bell;
}

/** Somebody who waits until these have acknowledged a version, or left. */
interface Wait {
  readonly missing: Set<Follower>;
  readonly subject: Subject;
  readonly end: (all: boolean) => void;
}

export function createPublisher(options: PublisherOptions): Publisher {
  return new StreamPublisher(options);
}

class StreamPublisher implements Publisher {
  readonly #options: PublisherOptions;
  readonly #followers = new Set<Follower>();
  readonly #waits = new Set<Wait>();
  readonly #announcements: Announcements;
  /** What was asked for in the present version. */
  readonly #clusters = new Map<string, Cluster>();
  #trust: TrustBundle | undefined;
  #closed = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#announcements = createAnnouncements((subjects) => this.#publish(subjects));
  }

  changed(subjects: readonly Subject[]): void {
    this.#announcements.add(subjects);
  }

  published(subject: Subject): Promise<void> {
    return this.#announcements.told(subject);
  }

  async acknowledged(subject: Subject, timeoutMs: number): Promise<boolean> {
    await this.published(subject);
    const { bulletin } = this.#options;
    const missing = new Set([...this.#followers].filter((follower) => bulletin.mayGoByOld(follower, subject)));
    if (missing.size === 0 || this.#closed) return missing.size === 0;
    return new Promise((resolve) => {
      const wait: Wait = {
        missing,
        subject,
        end: (all) => {
          clearTimeout(timer);
          this.#waits.delete(wait);
          resolve(all);
        },
      };
      const timer = setTimeout(wait.end, timeoutMs, false);
      this.#waits.add(wait);
    });
  }

  isKnown(subject: "trust"): boolean {
    if (this.#announcements.isWaiting(subject)) return false;
    return ![...this.#followers].some((follower) => this.#options.bulletin.mayGoByOld(follower, subject));
  }

  async *follow(
    workload: string,
    requests: AsyncIterable<StreamResourcesRequest>,
    signal: AbortSignal,
  ): AsyncGenerator<StreamResourcesResponse> {
    const { bulletin, tooMany } = this.#options;
    if (!this.#hasRoomFor(workload)) throw tooMany();
    const follower = newFollower(workload);
    const end = (): void => endFollower(follower);
    this.#followers.add(follower);
    signal.addEventListener("abort", end);
    if (this.#closed) end();
    void this.#listen(follower, requests);
    try {
      while (!follower.ended) {
        if (!follower.asked && (follower.sent === 0n || !bulletin.isBehind(follower))) {
          await follower.bell.wait();
          continue;
        }
        follower.asked = false;
        follower.sent = bulletin.version;
        yield { version: follower.sent, ...this.#resourcesOf(follower.services) };
      }
    } finally {
      signal.removeEventListener("abort", end);
      this.#followers.delete(follower);
      for (const wait of [...this.#waits]) settle(wait, follower);
    }
  }

  close(): void {
    this.#closed = true;
    this.#announcements.close();
    for (const follower of this.#followers) endFollower(follower);
    for (const wait of [...this.#waits]) wait.end(false);
  }

  #hasRoomFor(workload: string): boolean {
    const like = [...this.#followers].filter((follower) => follower.workload === workload);
    return this.#followers.size < MAX_WATCHERS && like.length < MAX_WATCHERS_PER_SERVICE;
  }

  #publish(subjects: readonly Subject[]): void {
    this.#clusters.clear();
    this.#trust = undefined;
    this.#options.bulletin.publish(subjects);
    for (const follower of this.#followers) follower.bell.ring();
  }

  #resourcesOf(services: ReadonlySet<string>): Omit<StreamResourcesResponse, "version"> {
    this.#trust ??= this.#options.trust();
    return { clusters: [...services].map((service) => this.#clusterOf(service)), trust: this.#trust };
  }

  #clusterOf(service: string): Cluster {
    const cluster = this.#clusters.get(service) ?? this.#options.clusterOf(service);
    if (this.#clusters.size < MAX_KEPT_CLUSTERS) this.#clusters.set(service, cluster);
    return cluster;
  }

  /** Reads subscriptions and acknowledgements until the watcher has no more, or its call ends. Never rejects. */
  async #listen(follower: Follower, requests: AsyncIterable<StreamResourcesRequest>): Promise<void> {
    try {
      for await (const request of paced(requests, STREAM_PACE)) this.#hear(follower, request);
    } catch {
      // The call has ended, and whoever ended it has told why.
    }
    endFollower(follower);
  }

  #hear(follower: Follower, { services, acknowledgedVersion }: StreamResourcesRequest): void {
    const isFirst = follower.sent === 0n;
    if (isFirst || !isSame(follower.services, services)) {
      follower.services = new Set(services);
      follower.asked = true;
      follower.bell.ring();
    }
    // What was not sent cannot be in force.
    if (acknowledgedVersion > follower.sent || acknowledgedVersion <= follower.acknowledged) return;
    follower.acknowledged = acknowledgedVersion;
    for (const wait of [...this.#waits]) {
      if (!this.#options.bulletin.mayGoByOld(follower, wait.subject)) settle(wait, follower);
    }
  }
}

function newFollower(workload: string): Follower {
  return { workload, services: new Set(), sent: 0n, acknowledged: 0n, asked: false, ended: false, bell: createBell() };
}

function endFollower(follower: Follower): void {
  follower.ended = true;
  follower.bell.ring();
}

/** One less to wait for. */
function settle(wait: Wait, follower: Follower): void {
  if (wait.missing.delete(follower) && wait.missing.size === 0) wait.end(true);
}

function isSame(before: ReadonlySet<string>, services: readonly string[]): boolean {
  return before.size === services.length && services.every((service) => before.has(service));
}
