import {
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { RpcError } from "#mesh/contract/errors.ts";
import { answerFailure, discardRequest, failureTrailers, gatewayFailure } from "./answers.ts";
import type { BackendSession } from "./backend-session.ts";
import { type Backends, unavailable } from "./backends.ts";
import type { Outcome } from "./call-log.ts";
import { forwarded, forwardedRequest, forwardedResponse, type ReceivedHeaders, rawOf } from "./headers.ts";
import type { GatewayLimits } from "./limits.ts";
import { Replay } from "./replay.ts";
import type { Route } from "./routes.ts";

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
  readonly limits: GatewayLimits;
  /** Called once, when the caller's stream is closed. */
  readonly onEnd: (outcome: Outcome) => void;
}

/** A request may be sent again once: a second refusal is no accident of a connection that was just closing. */
const MAX_ATTEMPTS = 2;

/**
 * One call on its way through: joins the caller's stream to one of a backend, without looking into the bytes. Each
 * side's pace holds the other back, and either side's end or reset reaches the other.
 *
 * A class because it owns two streams and two timers, and one is made for each call.
 */
export class PassThrough {
  readonly #options: PassThroughOptions;
  readonly #caller: ServerHttp2Stream;
  readonly #replay: Replay;
  readonly #idleTimer: NodeJS.Timeout;
  #totalTimer: NodeJS.Timeout;
  #backend: ClientHttp2Stream | undefined;
  #attempts = 0;
  #requestEnded: boolean;
  #requestBytes = 0;
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
    this.#requestEnded = options.endStream;
    const { idleCallMs, maxCallMs, deadlineGraceMs, replayBytes } = options.limits;
    this.#replay = new Replay(replayBytes);
    const { deadlineMs } = options.route;
    const totalMs = deadlineMs === undefined ? maxCallMs : Math.min(maxCallMs, deadlineMs + deadlineGraceMs);
    this.#idleTimer = setTimeout(() => this.#timeOut(`no byte of it moved for ${idleCallMs} ms`), idleCallMs);
    this.#totalTimer = setTimeout(() => this.#timeOut(`it was not over after ${totalMs} ms`), totalMs);
  }

  /** Begins. The caller's stream must not be destroyed yet, and has a listener for errors. */
  start(): void {
    const caller = this.#caller;
    caller.once("aborted", () => {
      if (!this.#settled) this.#abandon();
    });
    caller.once("close", () => this.#closed());
    caller.on("drain", () => this.#backend?.resume());
    this.#attempt();
  }

  /** Ends the call from outside, at the gateway's shutdown. */
  stop(): void {
    const { route } = this.#options;
    this.#fail(unavailable(route.service, route.owner, "the gateway is shutting down"));
  }

  #attempt(): void {
    this.#attempts += 1;
    const { backends, route } = this.#options;
    try {
      const waiting = backends.withSession(route.owner, route.service, (session) => this.#send(session));
      waiting?.catch((error: unknown) => this.#failWith(error));
    } catch (error) {
      this.#failWith(error);
    }
  }

  #send(session: BackendSession): void {
    if (this.#settled) return;
    const { received, path, route, added } = this.#options;
    const headers = forwardedRequest(received, path, route.owner, added);
    const ended = this.#requestEnded && this.#replay.isEmpty();
    const backend = session.request(headers, { endStream: ended });
    this.#backend = backend;
    backend.on("response", (parsed, flags, ...rest: unknown[]) => {
      this.#respond({ parsed, raw: rawOf(rest) }, (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0);
    });
    backend.on("trailers", (parsed: IncomingHttpHeaders, _flags: number, ...rest: unknown[]) => {
      this.#trailers = forwarded({ parsed, raw: rawOf(rest) });
      // All has come; what is unread is within one window. Taking it now spares it the end of the connection.
      backend.resume();
    });
    backend.on("data", (chunk: Buffer) => this.#passResponse(chunk));
    backend.once("end", () => this.#responseEnded(backend));
    backend.on("drain", () => this.#caller.resume());
    backend.on("error", ignore); // "close" follows
    backend.once("close", () => this.#backendClosed(backend, session));
    for (const chunk of this.#replay.chunks()) backend.write(chunk);
    if (this.#requestEnded && !ended) backend.end();
    if (this.#attempts === 1 && !ended) this.#readRequest();
    else this.#caller.resume();
  }

  #readRequest(): void {
    const caller = this.#caller;
    caller.on("data", (chunk: Buffer) => {
      // After the answer there is nobody to read it, and a pause that nothing ends would hide the caller's end.
      if (this.#settled) return;
      this.#idleTimer.refresh();
      this.#requestBytes += chunk.length;
      this.#replay.keep(chunk);
      if (this.#backend?.write(chunk) === false) caller.pause();
    });
    caller.once("end", () => {
      // A caller that resets its stream ends it too. That must never look like the end of a request to a backend.
      if (caller.aborted || caller.rstCode !== constants.NGHTTP2_NO_ERROR) return;
      this.#requestEnded = true;
      this.#backend?.end();
    });
  }

  #respond(received: ReceivedHeaders, endStream: boolean): void {
    if (this.#settled || this.#caller.destroyed || this.#caller.closed) return;
    this.#replay.drop();
    this.#idleTimer.refresh();
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
    this.#idleTimer.refresh();
    this.#responseBytes += chunk.length;
    if (!this.#caller.write(chunk) && this.#trailers === undefined) this.#backend?.pause();
  }

  #responseEnded(backend: ClientHttp2Stream): void {
    // A reset ends the stream too; "close" follows and knows more.
    const whole = this.#trailers !== undefined || (!backend.aborted && backend.rstCode === constants.NGHTTP2_NO_ERROR);
    if (this.#settled || backend !== this.#backend || !whole || !this.#caller.headersSent) return;
    const { route } = this.#options;
    this.#trailers ??= failureTrailers(
      gatewayFailure("INTERNAL", route.service, `${route.service} ended its answer without a status`),
      route.service,
    );
    this.#settle(statusOf(this.#trailers));
    this.#caller.end();
  }

  /** The backend's stream is gone. If the answer wasn't complete by then, something has to be told to the caller. */
  #backendClosed(backend: ClientHttp2Stream, session: BackendSession): void {
    if (this.#settled || backend !== this.#backend) return;
    const code = backend.rstCode;
    // Refused before it was looked at: a draining or full backend says so, and it is safe to ask another.
    const untouched = code === constants.NGHTTP2_REFUSED_STREAM && !this.#caller.headersSent && this.#replay.whole;
    if (untouched && this.#attempts < MAX_ATTEMPTS) {
      this.#backend = undefined;
      this.#caller.pause(); // nothing may come while there is no stream to write it to
      this.#attempt();
      return;
    }
    // A dying process may reset its streams just before its connection goes: which of the two it is shows a turn later.
    setImmediate(() => this.#brokenOff(code, session));
  }

  #brokenOff(code: number, session: BackendSession): void {
    const { route } = this.#options;
    // A process that ends says GOAWAY and resets with this code: no defect of the call, but the end of its callee.
    const dying = !session.isOpen() && code === constants.NGHTTP2_INTERNAL_ERROR;
    if (session.isLost() || dying || code === constants.NGHTTP2_REFUSED_STREAM || code === constants.NGHTTP2_NO_ERROR) {
      this.#fail(unavailable(route.service, route.owner, "the connection to it was lost during the call"));
    } else if (!this.#settled) {
      this.#settle(undefined);
      this.#caller.close(code);
    }
  }

  #timeOut(what: string): void {
    const { limits } = this.#options;
    const { service } = this.#options.route;
    this.#fail(gatewayFailure("DEADLINE_EXCEEDED", service, `the call to ${service} was ended: ${what}`));
    // What the caller doesn't read, the failure included, must end as well.
    clearTimeout(this.#totalTimer);
    this.#totalTimer = setTimeout(() => this.#cutOff(), limits.deadlineGraceMs);
  }

  /** Ends the caller's stream whatever it does, and if even that cannot be done, its connection. */
  #cutOff(): void {
    const caller = this.#caller;
    const { session } = caller;
    caller.close(constants.NGHTTP2_CANCEL);
    caller.destroy();
    this.#totalTimer = setTimeout(() => session?.destroy(), this.#options.limits.cutOffMs);
  }

  #failWith(error: unknown): void {
    const { service, owner } = this.#options.route;
    this.#fail(error instanceof RpcError ? error : unavailable(service, owner, "the call could not be sent"));
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

  #settle(status: number | undefined): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#status = status;
    this.#replay.drop();
    this.#caller.resume();
  }

  /** The whole answer is given. A caller that still sends is told to stop, and so is a backend that still reads. */
  #leaveRequest(): void {
    if (this.#requestEnded) return;
    this.#backend?.close(constants.NGHTTP2_NO_ERROR);
    discardRequest(this.#caller);
  }

  #closed(): void {
    clearTimeout(this.#idleTimer);
    clearTimeout(this.#totalTimer);
    if (!this.#settled) this.#abandon();
    // A caller may go between the end of its answer and the end of its request, which would then never come.
    if (!this.#requestEnded) this.#backend?.close(constants.NGHTTP2_CANCEL);
    this.#options.onEnd({
      status: this.#status,
      cancelled: this.#cancelled,
      reason: this.#reason,
      requestBytes: this.#requestBytes,
      responseBytes: this.#responseBytes,
    });
  }
}

function ignore(): void {}

function statusOf(headers: OutgoingHttpHeaders): number | undefined {
  const status = Number(headers["grpc-status"]);
  return Number.isInteger(status) ? status : undefined;
}
