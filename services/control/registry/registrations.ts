import type { Logger } from "pino";
import type { RegisterRequest, RegisterResponse } from "#gen/mesh/v1/registry_service.ts";
import { type Bell, createBell } from "../bell.ts";
import { subjectsOf } from "../discovery/domain.ts";
import type { Publisher } from "../discovery/publisher.ts";
import { paced, STREAM_PACE } from "../pace.ts";
import {
  type Change,
  type Instance,
  LEASE_MS,
  type Moment,
  type Registry,
  type Report,
  type Session,
} from "./domain.ts";
import { reportOf } from "./messages.ts";

/** How long an instance that drains waits for those who may still call it. */
const DRAIN_MS = 2_000;

export interface RegistrationsOptions {
  readonly registry: Registry;
  readonly publisher: Pick<Publisher, "changed" | "published" | "acknowledged">;
  readonly now: () => Moment;
  /** Is told that other instances are to be handed out than before. */
  readonly onChange: () => void;
  readonly failures: RegistrationFailures;
  readonly log: Logger;
}

/** Why a registration ends, as the contract says it. */
export interface RegistrationFailures {
  readonly full: () => Error;
  readonly replaced: () => Error;
  readonly lapsed: () => Error;
  readonly malformed: () => Error;
}

/** The streams behind the registry: each keeps one instance registered while it lives. */
export interface Registrations {
  /** Registers an instance and answers its reports, until the requests end or `signal` aborts. */
  hold(
    instance: Instance,
    reports: AsyncIterable<RegisterRequest>,
    signal: AbortSignal,
  ): AsyncGenerator<RegisterResponse>;
  /** Ends those whose lease has ended. */
  expire(): void;
  /** From now on the end of a stream is that of this process, and no instance is taken out. */
  freeze(): void;
}

/** One stream. */
interface Stream {
  readonly session: Session;
  readonly bell: Bell;
  /** A response is due. */
  owed: boolean;
  draining: boolean;
  drained: boolean;
  ended: boolean;
  failure: Error | undefined;
}

export function createRegistrations(options: RegistrationsOptions): Registrations {
  return new RegistrationStreams(options);
}

class RegistrationStreams implements Registrations {
  readonly #options: RegistrationsOptions;
  readonly #streams = new Map<Session, Stream>();
  #isFrozen = false;

  constructor(options: RegistrationsOptions) {
    this.#options = options;
  }

  async *hold(
    instance: Instance,
    reports: AsyncIterable<RegisterRequest>,
    signal: AbortSignal,
  ): AsyncGenerator<RegisterResponse> {
    const { registry, publisher, now, failures } = this.#options;
    const registered = registry.register(instance, now());
    if (!registered.ok) throw failures.full();
    const stream = newStream(registered.value.session);
    const abort = (): void => end(stream, undefined);
    this.#streams.set(stream.session, stream);
    signal.addEventListener("abort", abort);
    try {
      this.#apply(registered.value);
      await publisher.published({ service: instance.service });
      void this.#listen(stream, reports);
      yield* responses(stream);
    } finally {
      signal.removeEventListener("abort", abort);
      this.#streams.delete(stream.session);
      if (!this.#isFrozen) this.#apply(registry.leave(stream.session, now()));
    }
  }

  expire(): void {
    if (!this.#isFrozen) this.#apply(this.#options.registry.expire(this.#options.now()));
  }

  freeze(): void {
    this.#isFrozen = true;
  }

  #apply({ services, replaced, lapsed }: Change): void {
    const { publisher, onChange, failures, log } = this.#options;
    if (services.size > 0) {
      publisher.changed(subjectsOf(services));
      onChange();
    }
    for (const session of replaced) end(this.#streams.get(session), failures.replaced());
    for (const session of lapsed) {
      log.warn({ instance: session.instance.name }, "an instance has not reported in time, and is gone");
      end(this.#streams.get(session), failures.lapsed());
    }
  }

  /** Reads reports until there are no more, or the call ends. Never rejects. */
  async #listen(stream: Stream, requests: AsyncIterable<RegisterRequest>): Promise<void> {
    try {
      for await (const { content } of paced(requests, STREAM_PACE)) {
        const report = content?.$case === "report" ? reportOf(content.value) : undefined;
        if (report === undefined) return end(stream, this.#options.failures.malformed());
        this.#note(stream, report);
      }
    } catch {
      // The call has ended, and whoever ended it has told why.
    }
    end(stream, undefined);
  }

  #note(stream: Stream, report: Report): void {
    const { registry, now } = this.#options;
    const change = registry.report(stream.session, report, now());
    if (change === undefined) return;
    this.#apply(change);
    owe(stream);
    if (report.state !== "DRAINING" || stream.draining) return;
    stream.draining = true;
    void this.#drain(stream);
  }

  async #drain(stream: Stream): Promise<void> {
    const { service, name } = stream.session.instance;
    const all = await this.#options.publisher.acknowledged({ service }, DRAIN_MS);
    if (!all) this.#options.log.warn({ instance: name }, "an instance drains, and not everybody has acknowledged that");
    stream.drained = true;
    owe(stream);
  }
}

/** Answers reports: those that came while an answer was on its way are answered together. */
async function* responses(stream: Stream): AsyncGenerator<RegisterResponse> {
  while (!stream.ended) {
    if (!stream.owed) {
      await stream.bell.wait();
      continue;
    }
    stream.owed = false;
    yield { lease: { seconds: BigInt(LEASE_MS / 1_000), nanos: 0 }, drained: stream.drained };
  }
  if (stream.failure !== undefined) throw stream.failure;
}

function newStream(session: Session): Stream {
  const state = { owed: true, draining: false, drained: false, ended: false, failure: undefined };
  return { session, bell: createBell(), ...state };
}

function owe(stream: Stream): void {
  stream.owed = true;
  stream.bell.ring();
}

function end(stream: Stream | undefined, failure: Error | undefined): void {
  if (stream === undefined || stream.ended) return;
  stream.ended = true;
  stream.failure = failure;
  stream.bell.ring();
}
