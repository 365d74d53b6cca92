import type { Logger } from "pino";
import { type Instance, InstanceState, type InstanceStats } from "#gen/mesh/v1/instance.ts";
import type { RegistryService } from "#gen/mesh/v1/registry_service.contract.ts";
import type { RegisterRequest } from "#gen/mesh/v1/registry_service.ts";
import type { Client } from "#mesh/contract/contract.ts";
import { LastingStream, type OpenStream, STREAM_TIMEOUT_MS, StreamLost } from "#mesh/discovery/lasting-stream.ts";
import { createSignal, within } from "#mesh/discovery/signal.ts";
import type { OwnCall } from "#mesh/rpc/call.ts";
import type { BackgroundOptions } from "#mesh/rpc/call-context.ts";

/** One instance in the registry, for as long as its process wants to be called. */
export interface Registration {
  /** Whether control knows the instance now. */
  isRegistered(): boolean;
  /** Resolves when control knows the instance, at the latest after `timeoutMs`: a process serves without control, too. */
  registered(timeoutMs: number): Promise<void>;
  /**
   * Leaves: resolves when nobody who was told in time calls the instance any more, at the latest after two seconds, and
   * sooner when control does not answer. While there is no stream by which to say so, or one is taking the place of
   * another, it is said by the one that comes. Idempotent.
   */
  leave(): Promise<void>;
  /** Ends the stream: the instance is gone. Idempotent. */
  close(): void;
}

export interface RegistrationOptions {
  readonly instance: Instance;
  /** What the process has done so far. */
  readonly stats: () => InstanceStats;
  readonly registry: Pick<Client<typeof RegistryService>, "register">;
  readonly background: (options: BackgroundOptions) => OwnCall;
  readonly log: Pick<Logger, "info" | "warn">;
}

const REPORT_EVERY_MS = 1_000;
/** So many reports without an answer say that control hears nothing: twice what the instance would stay registered. */
const MAX_UNANSWERED = 10;
/** How long all callers together may take to turn away. */
const LEAVE_MS = 2_000;
/** How long control may take to answer that somebody leaves … */
const LEAVE_ANSWER_MS = 300;
/** … and how long when a stream to it has to be opened before. */
const LEAVE_OPEN_MS = 1_000;

/** A process that no control plane knows of. */
export const unregistered: Registration = {
  isRegistered: () => false,
  registered: async () => {},
  leave: async () => {},
  close() {},
};

/** Registers an instance that takes calls, and reports on it each second until closed. */
export function register(options: RegistrationOptions): Registration {
  return new StreamRegistration(options);
}

class StreamRegistration implements Registration {
  readonly #options: RegistrationOptions;
  /** Rings when there is something to report, and when something was answered. */
  readonly #news = createSignal();
  readonly #answers = createSignal();
  readonly #kept: LastingStream;
  #state: InstanceState = InstanceState.SERVING;
  /** Those that are open, or on their way: one, and two while one takes the place of another. */
  readonly #streams = new Set<Stream>();
  #isDrained = false;
  #leaving: Promise<void> | undefined;

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.#kept = new LastingStream({ name: "registration", log: options.log, open: (stream) => this.#open(stream) });
  }

  isRegistered(): boolean {
    return [...this.#streams].some(({ stands }) => stands);
  }

  async registered(timeoutMs: number): Promise<void> {
    const endsAtMs = performance.now() + timeoutMs;
    while (!this.isRegistered()) {
      if (!(await within(endsAtMs - performance.now(), this.#answers.next()))) return;
    }
  }

  leave(): Promise<void> {
    this.#leaving ??= this.#leave();
    return this.#leaving;
  }

  close(): void {
    this.#kept.close();
  }

  async #leave(): Promise<void> {
    const startedAtMs = performance.now();
    this.#state = InstanceState.DRAINING;
    this.#kept.hold();
    this.#news.ring();
    const allStand = [...this.#streams].every(({ stands }) => stands);
    const answerMs = allStand ? LEAVE_ANSWER_MS : LEAVE_OPEN_MS;
    for (let answered = false; this.#streams.size > 0 && !this.#isDrained; answered = true) {
      const answer = this.#answers.next();
      const leftMs = answered ? startedAtMs + LEAVE_MS - performance.now() : answerMs;
      if (await within(leftMs, answer)) continue;
      this.#options.log.warn({ answered }, "leaving before everybody is known to have turned away");
      break;
    }
  }

  async #open({ signal, established }: OpenStream): Promise<void> {
    const { registry, background } = this.#options;
    const call = background({ name: "registration", timeoutMs: STREAM_TIMEOUT_MS, signal });
    const stream: Stream = { stands: false, over: false, unanswered: 0 };
    this.#streams.add(stream);
    try {
      for await (const { drained } of registry.register(this.#requests(stream), call)) {
        established();
        stream.stands = true;
        stream.unanswered = 0;
        this.#isDrained ||= drained;
        this.#answers.ring();
      }
    } finally {
      stream.over = true;
      this.#streams.delete(stream);
      this.#news.ring();
      this.#answers.ring();
      call.done();
    }
  }

  async *#requests(stream: Stream): AsyncGenerator<RegisterRequest> {
    const { instance, stats } = this.#options;
    yield { content: { $case: "instance", value: instance } };
    while (!stream.over) {
      const rung = this.#news.next();
      if (stream.unanswered >= MAX_UNANSWERED) throw new StreamLost("control answers no report any more");
      stream.unanswered += 1;
      yield { content: { $case: "report", value: { state: this.#state, stats: stats() } } };
      await within(REPORT_EVERY_MS, rung);
    }
  }
}

/** One stream, as long as it lives. */
interface Stream {
  /** Control has answered by it. */
  stands: boolean;
  over: boolean;
  /** Reports since the last answer. */
  unanswered: number;
}
