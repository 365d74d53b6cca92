import type { ServerInterceptingCallInterface } from "@grpc/grpc-js";
import type { Logger } from "pino";
import type { UntypedHandler } from "#mesh/contract/contract.ts";
import { invalidArgument, meshFailure, type RpcError } from "#mesh/contract/errors.ts";
import { authorize } from "#mesh/identity/authorize.ts";
import { tokenInvalid, type UserTokens } from "#mesh/identity/user-tokens.ts";
import type { WorkloadIdentity } from "#mesh/identity/workload.ts";
import type { Admission } from "#mesh/rpc/admission.ts";
import type { Call, TraceContext, User } from "#mesh/rpc/call.ts";
import { CallContext, epochMs, MAX_TIMER_MS } from "#mesh/rpc/call-context.ts";
import { MAX_METADATA_BYTES } from "#mesh/rpc/limits.ts";
import type { Method } from "#mesh/rpc/method.ts";
import { ServerCall } from "#mesh/rpc/server-call.ts";
import { type Answer, refusalToAnswer, toAnswer } from "#mesh/rpc/server-errors.ts";
import { logCall, logLateFailure } from "#mesh/rpc/server-log.ts";
import { deadlineExceeded } from "#mesh/rpc/status.ts";
import { newSpan, TRACEPARENT_KEY } from "#mesh/rpc/trace.ts";
import type { RequestCheck } from "#mesh/rpc/validation.ts";

/** What the layers need of the process they run in. */
export interface ServerParts {
  readonly log: Logger;
  readonly workloads: WorkloadIdentity;
  readonly users: UserTokens;
  /** Room for calls that are answered once, and for those that may stay open. */
  readonly admission: { readonly calls: Admission; readonly streams: Admission };
  /** What ends each stream of answers that is open now; a server that shuts down cannot wait for them all. */
  readonly openStreams: Set<() => void>;
}

/** One method that is served. */
export interface Route {
  readonly parts: ServerParts;
  readonly method: Method;
  readonly handler: UntypedHandler;
  readonly check: RequestCheck;
}

/** What the layers have learned of a call. */
export interface CallState {
  readonly startedAtMs: number;
  deadline: number;
  trace: TraceContext;
  caller: string;
  token: string | undefined;
  user: User | undefined;
  /** The entry of the policy that lets the caller in. */
  rule: string | undefined;
  context: CallContext | undefined;
  place: Admission | undefined;
}

type Served = ServerCall<CallState>;

/** How far the clocks and timers of both sides of a call may be apart. */
const DEADLINE_SLACK_MS = 25;
/** When a caller that found no room should come again. */
const OVERLOAD_RETRY_DELAY_MS = 250;

/**
 * Makes what serves a method: it takes a call from grpc-js and through the layers, top to bottom:
 *
 *     accept → identify → authorize → (the request arrives) → admit → validate → handle → map errors → observe
 *
 * Whatever a layer throws ends the call. Who may not call is told so before the request is read, and a place is taken
 * only when the request is there, so that slow senders hold none.
 */
export function serveRoute(route: Route): (wire: ServerInterceptingCallInterface) => void {
  const events = {
    begin: (call: Served) => void serve(route, call),
    refused: (call: Served, refusal: Parameters<typeof refusalToAnswer>[1]) =>
      end(route, call, refusalToAnswer(route.method, refusal)),
    cancelled: (call: Served) => abandon(route, call),
  };
  return (wire) => {
    new ServerCall(wire, route.method.info.service, newState(), events);
  };
}

async function serve(route: Route, call: Served): Promise<void> {
  const { state } = call;
  try {
    accept(route, call);
    identifyWorkload(route, call);
    const user = identifyUser(route, call);
    state.user = user instanceof Promise ? await user : user;
    authorizeCaller(route, call);
    const context = makeContext(route, call);
    if (route.method.responseStream) await answerWithStream(route, call, context);
    else await answerOnce(route, call, context);
  } catch (error) {
    end(route, call, toAnswer(route.method, error));
  } finally {
    state.place?.leave();
  }
}

// --- accept: a deadline for every call, a trace, and no work that nobody waits for --------------------------------

function accept(route: Route, call: Served): void {
  const { state, metadata } = call;
  const { deadlineMs } = route.method.policy;
  state.trace = newSpan(text(metadata.get(TRACEPARENT_KEY)[0]));
  state.deadline = Math.min(call.callerDeadline, state.startedAtMs + deadlineMs);
  if (state.deadline <= state.startedAtMs) throw deadlineExceeded(route.method.info.service, false);
  // grpc-js watches the caller's deadline by itself; ours covers callers that set none, or a later one, and with it
  // requests that are begun and never ended.
  if (state.deadline < call.callerDeadline) {
    const onTimeout = () => end(route, call, { failure: deadlineExceeded(route.method.info.service, false) });
    call.setTimer(Math.min(deadlineMs, MAX_TIMER_MS), onTimeout);
  }
  if (sizeOf(metadata.toJSON()) > MAX_METADATA_BYTES) {
    throw meshFailure("MESSAGE_TOO_LARGE", `the metadata of a call may have ${MAX_METADATA_BYTES} bytes`);
  }
}

function sizeOf(metadata: ReturnType<Served["metadata"]["toJSON"]>): number {
  let bytes = 0;
  for (const key in metadata) {
    for (const value of metadata[key] ?? []) bytes += key.length + value.length;
  }
  return bytes;
}

// --- identify: which process calls, and for whom ------------------------------------------------------------------

function identifyWorkload(route: Route, call: Served): void {
  const workload = route.parts.workloads.verify(call.metadata);
  if (workload === undefined) {
    throw meshFailure("CALLER_UNKNOWN", "the calling process does not prove which service it is");
  }
  call.state.caller = workload;
}

/** A token is always verified when there is one, also where none is needed. */
function identifyUser(route: Route, call: Served): User | Promise<User> | undefined {
  const [authorization, another] = call.metadata.get("authorization");
  if (authorization === undefined) return undefined;
  const token = another === undefined ? /^bearer +(\S+)$/i.exec(text(authorization) ?? "")?.[1] : undefined;
  if (token === undefined) throw tokenInvalid();
  call.state.token = token;
  return route.parts.users.verify(token);
}

// --- authorize: the contract says who may call; nobody else can ----------------------------------------------------

function authorizeCaller(route: Route, { state }: Served): void {
  const { info, policy } = route.method;
  const decision = authorize(policy.callers, state.caller, state.user);
  state.rule = decision.rule;
  if (decision.allowed) return;
  throw decision.reason === "TOKEN_MISSING"
    ? meshFailure("TOKEN_MISSING", `${info.name} wants a token: send metadata "authorization: Bearer <token>"`)
    : meshFailure("NOT_ALLOWED", `${info.name} is not open to ${state.user?.kind ?? state.caller}`);
}

function makeContext(route: Route, { state, endReason }: Served): CallContext {
  // The token may have been verified after the call had ended.
  if (endReason !== undefined) throw endReason;
  const { caller, token, user, trace, deadline } = state;
  const { method, parts } = route;
  const log = () => parts.log.child({ method: method.info.path, traceId: trace.traceId });
  state.context = new CallContext({ method: method.info, deadline, caller, token, user, trace, log });
  return state.context;
}

// --- admit: as many at a time as can be served in time -------------------------------------------------------------

function admit(route: Route, { state }: Served): void {
  const { admission } = route.parts;
  const place = route.method.responseStream ? admission.streams : admission.calls;
  if (!place.tryEnter()) {
    throw meshFailure("OVERLOADED", "too much work at once", { retryDelayMs: OVERLOAD_RETRY_DELAY_MS });
  }
  state.place = place;
}

// --- validate: the shape that the contract states, checked on the bytes --------------------------------------------

function validate(route: Route, bytes: Buffer): unknown {
  const violations = route.check(bytes);
  if (violations.length > 0) throw invalidArgument(violations);
  return route.method.decodeRequest(bytes);
}

/** Streamed requests, each validated as it arrives and read when the handler asks for it. A bad one ends the call. */
async function* validateEach(route: Route, call: Served): AsyncGenerator<unknown, void> {
  for (;;) {
    const bytes = await call.read();
    if (bytes === undefined) return;
    let request: unknown;
    try {
      request = validate(route, bytes);
    } catch (error) {
      end(route, call, toAnswer(route.method, error));
      throw error;
    }
    yield request;
  }
}

// --- handle: the typed handler, and its answer on its way ----------------------------------------------------------

/** Admits and validates in the order that the kind of method allows, and calls the handler. */
async function handle(route: Route, call: Served, context: Call): Promise<unknown> {
  // The contract's types tie the handler to the method that decoded the request.
  const handler = route.handler as (request: unknown, call: Call) => unknown;
  if (route.method.requestStream) {
    admit(route, call);
    return handler(validateEach(route, call), context);
  }
  const bytes = await call.readOnly();
  admit(route, call);
  return handler(validate(route, bytes), context);
}

async function answerOnce(route: Route, call: Served, context: Call): Promise<void> {
  const response = await handle(route, call, context);
  if (call.succeed(route.method.encodeResponse(response))) logCall(route, call.state);
}

/** Writes one message after the other, each when the transport has taken the last; stops asking when the call ends. */
async function answerWithStream(route: Route, call: Served, context: Call): Promise<void> {
  const responses = await handle(route, call, context);
  if (!isAsyncIterable(responses)) throw new TypeError(`the handler of ${route.method.info.path} gave no stream`);
  const iterator = responses[Symbol.asyncIterator]();
  const interrupt = () => end(route, call, { failure: shuttingDown(route) });
  route.parts.openStreams.add(interrupt);
  let exhausted = false;
  call.onEnd(() => {
    route.parts.openStreams.delete(interrupt);
    if (!exhausted) iterator.return?.().catch((error: unknown) => logLateFailure(route, call.state, error));
  });
  for (;;) {
    const next = await iterator.next();
    if (next.done === true) break;
    await call.write(route.method.encodeResponse(next.value));
  }
  exhausted = true;
  if (call.succeed()) logCall(route, call.state);
}

function shuttingDown({ method }: Route): RpcError {
  const { service } = method.info;
  return meshFailure("SERVICE_UNAVAILABLE", "this instance shuts down; ask again", { metadata: { service } });
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

// --- map errors, observe: every call ends once, and leaves one line ------------------------------------------------

function end(route: Route, call: Served, answer: Answer): void {
  const { state } = call;
  if (call.fail(answer.failure)) {
    state.context?.abort(answer.failure);
    logCall(route, state, answer);
  } else if (answer.defect !== undefined) {
    logLateFailure(route, state, answer.defect);
  }
}

/** The caller has gone: the work stops, and nobody is answered. */
function abandon(route: Route, call: Served): void {
  // A caller whose time is up cancels; that may come in a moment before our own timer.
  const expired = epochMs() >= call.state.deadline - DEADLINE_SLACK_MS;
  const { service } = route.method.info;
  const failure = expired ? deadlineExceeded(service, false) : meshFailure("CANCELLED", "the caller gave up");
  call.abandon(failure);
  call.state.context?.abort(failure);
  logCall(route, call.state, { failure });
}

function newState(): CallState {
  return {
    startedAtMs: epochMs(),
    deadline: 0,
    trace: noTrace,
    caller: "",
    token: undefined,
    user: undefined,
    rule: undefined,
    context: undefined,
    place: undefined,
  };
}

const noTrace: TraceContext = { traceId: "", spanId: "", flags: 0 };

function text(value: string | Buffer | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}
