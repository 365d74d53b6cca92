import type { Logger } from "pino";
import type { Clock } from "#mesh/clock.ts";
import type { PaymentEvent } from "../domain.ts";
import type { Gateway } from "../gateway.ts";
import type { Deliveries } from "./deliveries.ts";
import { eventBody, eventIdOf, SIGNATURE_HEADER, sign } from "./event.ts";
import { createPoster, type Poster } from "./post.ts";
import { type Backoff, backoffMs, shuffleMs } from "./timing.ts";

/** Events on their way at a time. */
const MAX_IN_FLIGHT = 16;
/** Events that wait to be sent, or sent again; later ones stay in the books until there is room. */
const MAX_WAITING = 10_000;
/** How long the receiver may take to acknowledge one. */
const ATTEMPT_TIMEOUT_MS = 15_000;
/** Expiries that come close together are noted together. */
const MIN_EXPIRY_WAIT_MS = 100;
/** While anything can expire, it is looked for so often: an authorization may have a shorter life than those before. */
const MAX_EXPIRY_WAIT_MS = 60_000;

export interface WebhookSettings {
  readonly url: URL;
  /** With which events are signed. */
  readonly secret: string;
  /** How long an event is sent again before it is given up. */
  readonly retryForMs: number;
  readonly backoff: Backoff;
  /** Misbehaviour on demand: further copies of each event, sent at the same time … */
  readonly copies: number;
  /** … a wait before its first attempt … */
  readonly delayMs: number;
  /** … and up to so much more, different for each event, so that they come in another order. */
  readonly shuffleMs: number;
}

export interface SenderOptions {
  readonly gateway: Pick<Gateway, "events" | "expireDue" | "flushed">;
  readonly deliveries: Deliveries;
  readonly settings: WebhookSettings;
  readonly clock: Clock;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
}

export interface WebhookSender {
  /** How it goes. */
  summary(): Summary;
  /** Sends nothing more, breaks off what is under way, and notes what was acknowledged. */
  close(): Promise<void>;
}

export interface Summary {
  readonly events: number;
  readonly acknowledged: number;
  readonly given_up: number;
  /** Neither, so far. */
  readonly waiting: number;
}

/** One event that is still to be acknowledged. */
interface Job {
  readonly place: number;
  readonly attempt: number;
}

/**
 * Tells the receiver of all that happens, at least once each, in no promised order. An event is sent again with growing
 * waits until it is acknowledged with 2xx, or too old. Never in the way of an answer: it follows the books from behind.
 */
export function startWebhookSender(options: SenderOptions): WebhookSender {
  return new Sender(options);
}

/** A class because it owns timers, connections and requests that are under way. */
class Sender implements WebhookSender {
  readonly #options: SenderOptions;
  readonly #poster: Poster;
  /** The attempts that are under way, to be broken off. */
  readonly #attempts = new Set<AbortController>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #running = new Set<Promise<void>>();
  readonly #ready: Job[] = [];
  #expiryTimer: NodeJS.Timeout | undefined;
  #next: number;
  #pumping = false;
  #failing = false;
  #closed = false;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#poster = createPoster(options.settings.url, MAX_IN_FLIGHT);
    this.#next = options.deliveries.first();
    options.gateway.events.listen(() => this.#pumpSoon());
    this.#pumpSoon();
  }

  summary(): Summary {
    const { gateway, deliveries } = this.#options;
    const { acknowledged, given_up } = deliveries.counts;
    const events = gateway.events.count();
    return { events, acknowledged, given_up, waiting: this.#waiting() + (events - this.#next) };
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#expiryTimer);
    for (const attempt of this.#attempts) attempt.abort();
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all(this.#running);
    this.#poster.close();
    await this.#options.deliveries.close();
  }

  #waiting(): number {
    return this.#timers.size + this.#ready.length + this.#running.size;
  }

  /** In a turn of its own: what added the event comes first. */
  #pumpSoon(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    setImmediate(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#closed) return;
    this.#watchExpiries();
    while (this.#running.size < MAX_IN_FLIGHT) {
      const job = this.#ready.shift() ?? this.#take();
      if (job === undefined) return;
      const running = this.#run(job).finally(() => {
        this.#running.delete(running);
        this.#pumpSoon();
      });
      this.#running.add(running);
    }
  }

  /** The next event that was not tried since the start. */
  #take(): Job | undefined {
    const { gateway, deliveries, settings } = this.#options;
    while (this.#next < gateway.events.count() && this.#waiting() < MAX_WAITING) {
      const place = this.#next;
      this.#next += 1;
      if (deliveries.isDone(place)) continue;
      const waitMs = settings.delayMs + shuffleMs(place, settings.shuffleMs);
      if (waitMs === 0) return { place, attempt: 0 };
      this.#later({ place, attempt: 0 }, waitMs);
    }
    return undefined;
  }

  #later(job: Job, waitMs: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#ready.push(job);
      this.#pump();
    }, waitMs);
    this.#timers.add(timer);
  }

  /** Never rejects. */
  async #run({ place, attempt }: Job): Promise<void> {
    const { gateway, deliveries, settings, clock, log } = this.#options;
    try {
      // What is not on the disk has not happened.
      await gateway.flushed();
      const event = gateway.events.at(place);
      const failure = await this.#deliver(event);
      if (this.#closed) return;
      if (failure === undefined) {
        deliveries.done(place, "acknowledged");
        this.#note(true, "");
      } else if (clock.now().getTime() - event.time.getTime() > settings.retryForMs) {
        deliveries.done(place, "given_up");
        log.error({ event: eventIdOf(event), attempt, because: failure }, "a webhook was given up");
      } else {
        this.#note(false, failure);
        this.#later({ place, attempt: attempt + 1 }, backoffMs(settings.backoff, attempt, place));
      }
    } catch (error) {
      log.error({ err: error }, "a webhook could not be made of the books");
    }
  }

  /** Why it failed; nothing when one copy was acknowledged. */
  async #deliver(event: PaymentEvent): Promise<string | undefined> {
    const { settings, clock } = this.#options;
    const body = eventBody(event);
    const attempt = new AbortController();
    const timer = setTimeout(() => attempt.abort(new Error("no answer in time")), ATTEMPT_TIMEOUT_MS);
    this.#attempts.add(attempt);
    const send = async (): Promise<string | undefined> => {
      const headers = { [SIGNATURE_HEADER]: sign(settings.secret, body, clock.now()) };
      const status = await this.#poster.post(body, headers, attempt.signal);
      return status >= 200 && status < 300 ? undefined : `status ${status}`;
    };
    const copies = Array.from({ length: 1 + settings.copies }, () =>
      send().catch((error: unknown) => (error instanceof Error ? error.message : String(error))),
    );
    const failures = await Promise.all(copies);
    clearTimeout(timer);
    this.#attempts.delete(attempt);
    return failures.includes(undefined) ? undefined : failures[0];
  }

  /** One line for an outage, not one for each try. */
  #note(delivered: boolean, because: string): void {
    if (this.#failing !== delivered) return;
    this.#failing = !delivered;
    const { log } = this.#options;
    if (delivered) log.info("webhooks are acknowledged again");
    else log.warn({ because }, "webhooks are not acknowledged; they are sent again");
  }

  /** Notes expiries when their time comes, which makes events of them. Sleeps while nothing can expire. */
  #watchExpiries(): void {
    if (this.#expiryTimer !== undefined) return;
    const { gateway, clock } = this.#options;
    const next = gateway.expireDue();
    if (next === undefined) return;
    const waitMs = Math.min(Math.max(next.getTime() - clock.now().getTime(), MIN_EXPIRY_WAIT_MS), MAX_EXPIRY_WAIT_MS);
    this.#expiryTimer = setTimeout(() => {
      this.#expiryTimer = undefined;
      this.#pump();
    }, waitMs);
  }
}
