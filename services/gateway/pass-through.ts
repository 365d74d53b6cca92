import {
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { status } from "@grpc/grpc-js";
import { RpcError } from "#mesh/contract/errors.ts";
import { type Injection, injectedFailure } from "#mesh/rpc/faults.ts";
import type { RetryBudget } from "#mesh/rpc/retry-rules.ts";
import { deadlineExceeded, failureTrailers } from "#mesh/rpc/status.ts";
import { answerFailure, discardRequest, gatewayFailure } from "./answers.ts";
import type { Backend } from "./backend.ts";
import { type Backends, unavailable } from "./backends.ts";
import { CallClock } from "./call-clock.ts";
import type { Outcome } from "./call-log.ts";
import { CallerRequest } from "./caller-request.ts";
import { forwarded, forwardedRequest, forwardedResponse, type ReceivedHeaders, rawOf } from "./headers.ts";
import type { GatewayLimits } from "./limits.ts";
import type { Place } from "./rotation.ts";
import type { Route } from "./routes.ts";
import { isOfInstance, statusOf, unavailability } from "./statuses.ts";
import { TIMEOUT_HEADER } from "./timeout.ts";
import { type Broken, Tries } from "./tries.ts";

export interface PassThroughOptions {
  readonly stream: ServerHttp2Stream;
  readonly received: ReceivedHeaders;
  /** Whether the request ended with its headers. */
  readonly endStream: boolean;
  readonly path: string;
  readonly route: Route;
  /** Headers the gateway adds for the backend. */
  readonly added: Readonly<Record<string, string>>;
  readonly backends: Backends;
  /** What an operator does to the call before it leaves. */
  readonly injected: Injection | undefined;
  readonly budget: RetryBudget;
  readonly limits: GatewayLimits;
  /** Called once, when the caller's stream is closed. */
  readonly onEnd: (outcome: Outcome) => void;
}

/**
 * One call on its way through: joins the caller's stream to one of a backend, without looking into the bytes. Each
 * side's pace holds the other back, and either side's end or reset reaches the other. While no answer has begun and the
 * request is still held, a backend that fails can be followed by another.
 *
 * A class because it owns two streams, and one is made for each call.
 */
export class PassThrough {
  readonly #options: PassThroughOptions;
  readonly #caller: ServerHttp2Stream;
  readonly #request: CallerRequest;
  readonly #clock: CallClock;
  readonly #tries: Tries;
  #backend: ClientHttp2Stream | undefined;
  #failed: Backend | undefined;
  #responseBytes = 0;
  #trailers: OutgoingHttpHeaders | undefined;
  #status: number | undefined;
  #reason: string | undefined;
  #cancelled = false;
  /** The answer is complete, or the caller is gone: nothing that the backend does matters any more. */
  #settled = false;

  constructor(options: PassThroughOptions) {
    this.#options = options;
    this.#caller = options.stream;
    const { stream, endStream, limits, route, received, budget } = options;
    const timeout = received.parsed[TIMEOUT_HEADER];
    this.#request = new CallerRequest({ stream, endStream, limits, onBytes: () => this.#clock.moved() });
    this.#tries = new Tries(budget, route.repeatable);
    this.#clock = new CallClock({
      limits,
      deadlineMs: route.deadlineMs,
      timeout: typeof timeout === "string" ? timeout : undefined,
      onTimeout: (what) => this.#timeOut(what),
    });
  }

  /** Begins. The caller's stream must not be destroyed yet, and has a listener for errors. */
  start(): void {
    const caller = this.#caller;
    caller.once("aborted", () => {
      if (!this.#settled) this.#abandon();
    });
    caller.once("close", () => this.#closed());
    caller.on("drain", () => this.#backend?.resume());
    const { injected } = this.#options;
    if (injected === undefined) this.#attempt();
    else this.#suffer(injected);
  }

  /** Ends the call from outside, at the gateway's shutdown. */
  stop(): void {
    const { route } = this.#options;
    this.#fail(unavailable(route.service, route.owner, "the gateway is shutting down"));
  }

  /** Lets happen to the call what an operator wants, and then sends it. */
  #suffer({ delayMs, statusCode, faultIds }: Injection): void {
    const { service } = this.#options.route;
    const leftMs = Math.max(this.#clock.leftMs(), 0);
    this.#clock.wait(Math.min(delayMs, leftMs), () => {
      if (delayMs >= leftMs) this.#fail(deadlineExceeded(service, true));
      else if (statusCode !== undefined) this.#fail(injectedFailure(statusCode, faultIds, service));
      else this.#attempt();
    });
  }

  #attempt(): void {
    this.#tries.made += 1;
    const { backends, route, received } = this.#options;
    const { owner, service } = route;
    const header = (name: string): string | undefined => received.parsed[name]?.toString();
    const fail = (error: unknown): void =>
      this.#fail(error instanceof RpcError ? error : unavailable(service, owner, "the call could not be sent"));
    try {
      const wanted = { owner, service, header, avoid: this.#failed };
      backends.withSession(wanted, (place) => this.#send(place))?.catch(fail);
    } catch (error) {
      fail(error);
    }
  }

  /** Sends the call again, if it may be and there is time: true when it will. */
  #tryAgain(broken: Broken, failed: Backend): boolean {
    if (this.#settled || this.#caller.headersSent || !this.#request.held) return false;
    const delayMs = this.#tries.next(broken, this.#clock.leftMs());
    if (delayMs === undefined) return false;
    const backend = this.#backend;
    this.#backend = undefined;
    backend?.close(constants.NGHTTP2_NO_ERROR); // it may still read the request
    this.#failed = failed;
    this.#request.hold();
    if (delayMs === 0) this.#attempt();
    else this.#clock.wait(delayMs, () => this.#attempt());
    return true;
  }

  #send({ backend: instance, session }: Place): void {
    if (this.#settled) return;
    const { received, path, route, added, injected } = this.#options;
    const headers = forwardedRequest(received, path, route.owner, added);
    const timeout = this.#clock.timeout(this.#tries.made > 1 || injected !== undefined);
    if (timeout !== undefined) headers[TIMEOUT_HEADER] = timeout;
    const backend = session.request(headers, { endStream: this.#request.empty });
    this.#backend = backend;
    backend.on("response", (parsed, flags, ...rest: unknown[]) => {
      // Not before: Node emits what came in one TLS record with the headers ahead of them when it is read already.
      backend.on("data", (chunk: Buffer) => this.#passResponse(chunk));
      if (backend !== this.#backend) return;
      this.#respond({ parsed, raw: rawOf(rest) }, (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0, instance);
    });
    backend.on("trailers", (parsed: IncomingHttpHeaders, _flags: number, ...rest: unknown[]) => {
      this.#trailers = forwarded({ parsed, raw: rawOf(rest) });
      // All has come; what is unread is within one window. Taking it now spares it the end of the connection.
      backend.resume();
    });
    backend.once("end", () => this.#responseEnded(backend));
    backend.on("error", () => undefined); // "close" follows
    backend.once("close", () => this.#backendClosed(backend, { backend: instance, session }));
    this.#request.sendTo(backend);
  }

  #respond(received: ReceivedHeaders, endStream: boolean, instance: Backend): void {
    const refusal = endStream ? unavailability(received.parsed) : undefined;
    // One that was told so by another service says nothing of itself.
    if (refusal === undefined || refusal.pushback !== undefined) instance.breaker.noteAnswer();
    else instance.breaker.noteFailure();
    if (this.#settled || this.#caller.destroyed || this.#caller.closed) return;
    if (refusal !== undefined && this.#tryAgain(refusal, instance)) return;
    this.#request.drop();
    this.#clock.moved();
    const headers = forwardedResponse(received);
    try {
      this.#caller.respond(headers, endStream ? { endStream } : { waitForTrailers: true });
    } catch {
      // Node refuses what is no answer in HTTP, such as a status of 999.
      const { service } = this.#options.route;
      this.#fail(gatewayFailure("INTERNAL", service, `${service} gave an answer that is not HTTP`));
      return;
    }
    if (endStream) {
      this.#settle(statusOf(headers));
      this.#leaveRequest();
      return;
    }
    this.#caller.once("wantTrailers", () => {
      this.#caller.sendTrailers(this.#trailers ?? {});
      this.#leaveRequest();
    });
  }

  #passResponse(chunk: Buffer): void {
    if (this.#settled) return;
    this.#clock.moved();
    this.#responseBytes += chunk.length;
    if (!this.#caller.write(chunk) && this.#trailers === undefined) this.#backend?.pause();
  }

  #responseEnded(backend: ClientHttp2Stream): void {
    // A reset ends the stream too; "close" follows and knows more.
    const whole = this.#trailers !== undefined || (!backend.aborted && backend.rstCode === constants.NGHTTP2_NO_ERROR);
    if (this.#settled || backend !== this.#backend || !whole || !this.#caller.headersSent) return;
    const { service } = this.#options.route;
    const mute = `${service} ended its answer without a status`;
    this.#trailers ??= failureTrailers(gatewayFailure("INTERNAL", service, mute), service);
    this.#settle(statusOf(this.#trailers));
    this.#caller.end();
  }

  /** The backend's stream is gone. If the answer wasn't complete by then, something has to be told to the caller. */
  #backendClosed(backend: ClientHttp2Stream, place: Place): void {
    if (this.#settled || backend !== this.#backend) return;
    const code = backend.rstCode;
    // Refused before it was looked at: a draining or full backend says so, and it is safe to ask another.
    const refused = code === constants.NGHTTP2_REFUSED_STREAM;
    if (refused && this.#tryAgain({ refused, pushback: undefined }, place.backend)) return;
    // A dying process may reset its streams just before its connection goes: which it is shows a turn later.
    setImmediate(() => {
      if (backend === this.#backend) this.#brokenOff(code, place);
    });
  }

  #brokenOff(code: number, { backend, session }: Place): void {
    if (this.#settled) return;
    const { route } = this.#options;
    if (!isOfInstance(code, session)) {
      this.#settle(undefined);
      this.#caller.close(code);
      return;
    }
    backend.breaker.noteFailure();
    if (this.#tryAgain({ refused: false, pushback: undefined }, backend)) return;
    this.#fail(unavailable(route.service, route.owner, "the connection to it was lost during the call"));
  }

  #timeOut(what: string): void {
    const { service } = this.#options.route;
    this.#fail(gatewayFailure("DEADLINE_EXCEEDED", service, `the call to ${service} was ended: ${what}`));
    this.#clock.cutOff(this.#caller);
  }

  /** Ends the call with a failure of the gateway's own, in whatever form the answer still allows. */
  #fail(failure: RpcError): void {
    if (this.#settled) return;
    const { service } = this.#options.route;
    const trailers = failureTrailers(failure, service);
    this.#reason = failure.reason;
    this.#settle(statusOf(trailers));
    this.#backend?.close(constants.NGHTTP2_CANCEL);
    if (this.#caller.destroyed || this.#caller.closed) return;
    if (this.#caller.headersSent) {
      this.#trailers = trailers;
      this.#caller.end();
    } else {
      answerFailure(this.#caller, failure, service);
    }
  }

  /** The caller is gone. */
  #abandon(): void {
    this.#cancelled = !this.#settled;
    this.#settle(undefined);
    this.#backend?.close(constants.NGHTTP2_CANCEL);
  }

  #settle(code: number | undefined): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#status = code;
    this.#clock.settle();
    if (code === status.OK) this.#options.budget.earn();
    this.#request.discard();
  }

  /** The whole answer is given. A caller that still sends is told to stop, and so is a backend that still reads. */
  #leaveRequest(): void {
    if (this.#request.ended) return;
    this.#backend?.close(constants.NGHTTP2_NO_ERROR);
    discardRequest(this.#caller);
  }

  #closed(): void {
    this.#clock.stop();
    if (!this.#settled) this.#abandon();
    // A caller may go between the end of its answer and the end of its request, which would then never come.
    if (!this.#request.ended) this.#backend?.close(constants.NGHTTP2_CANCEL);
    this.#options.onEnd({
      status: this.#status,
      cancelled: this.#cancelled,
      reason: this.#reason,
      requestBytes: this.#request.bytes,
      responseBytes: this.#responseBytes,
    });
  }
}
