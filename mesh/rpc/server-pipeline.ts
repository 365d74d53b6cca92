import type { ServerInterceptingCallInterface } from "@grpc/grpc-js";
import { epochMs } from "#mesh/clock.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { authorize, GATEWAY_WORKLOAD } from "#mesh/identity/authorize.ts";
import { tokenInvalid } from "#mesh/identity/user-tokens.ts";
import { type CallPlaces, type Principal, placesOf } from "#mesh/rpc/admission.ts";
import { type Call, CLIENT_ADDRESS_KEY, type User } from "#mesh/rpc/call.ts";
import { CallContext, MAX_TIMER_MS } from "#mesh/rpc/call-context.ts";
import { type CallState, newState, type Route, type ServedCall } from "#mesh/rpc/call-state.ts";
import { MAX_METADATA_BYTES, MAX_STREAMS_PER_USER } from "#mesh/rpc/limits.ts";
import { ServerCall, type ServerCallEvents } from "#mesh/rpc/server-call.ts";
import { type Answer, refusalToAnswer, toAnswer } from "#mesh/rpc/server-errors.ts";
import { logCall, logLateFailure } from "#mesh/rpc/server-log.ts";
import { deadlineExceeded, NO_ROOM, overloaded } from "#mesh/rpc/status.ts";
import { newSpan, TRACEPARENT_KEY } from "#mesh/rpc/trace.ts";

/** How far the clocks and timers of both sides of a call may be apart. */
const DEADLINE_SLACK_MS = 25;

/**
 * Takes a call from grpc-js and through the layers, top to bottom:
 *
 *     accept → identify → authorize → (the request arrives) → admit → validate → handle → map errors → observe
 *
 * Whatever a layer throws ends the call. Who may not call is told so before the request is read, and a place is taken
 * only when the request is there, so that slow senders hold none. Where there is no room, a call does not come as far as
 * this: see `shed.ts`.
 */
export function startCall(route: Route, wire: ServerInterceptingCallInterface): void {
  new ServerCall(wire, route.method.info.service, newState(route), events);
}

async function serve(call: ServedCall): Promise<void> {
  const { state } = call;
  const { method, parts } = state.route;
  parts.running.add(call);
  parts.stats.begin();
  try {
    accept(call);
    identifyWorkload(call);
    const user = identifyUser(call);
    state.user = user instanceof Promise ? await user : user;
    authorizeCaller(call);
    expectRequest(call);
    const context = makeContext(call);
    const bytes = method.requestStream ? undefined : await call.readOnly();
    admit(call);
    const request = bytes === undefined ? validateEach(call) : state.route.read(bytes);
    const answer = handle(call, request, context);
    if (method.responseStream) await writeEach(call, answer);
    else writeOnly(call, await answer);
  } catch (error) {
    end(call, toAnswer(method, error));
  } finally {
    state.place?.leave();
    parts.running.delete(call);
  }
}

// --- accept: a deadline for every call, a trace, and no work that nobody waits for --------------------------------

function accept(call: ServedCall): void {
  const { state, metadata, callerDeadline } = call;
  const { info, policy } = state.route.method;
  state.trace = newSpan(text(metadata.get(TRACEPARENT_KEY)[0]));
  state.deadline = Math.min(callerDeadline, state.startedAtMs + policy.deadlineMs);
  if (state.deadline <= state.startedAtMs) throw deadlineExceeded(info.service, false);
  // grpc-js watches the caller's deadline by itself; ours covers callers that set none, or a later one, and with it
  // requests that are begun and never ended.
  if (state.deadline < callerDeadline) call.setTimer(Math.min(policy.deadlineMs, MAX_TIMER_MS), expire);
  if (sizeOf(metadata) > MAX_METADATA_BYTES) {
    throw meshFailure("MESSAGE_TOO_LARGE", `the metadata of a call may have ${MAX_METADATA_BYTES} bytes`);
  }
}

function sizeOf(metadata: ServedCall["metadata"]): number {
  let bytes = 0;
  // biome-ignore lint/complexity/useLiteralKeys: brackets are how TypeScript lets a protected member be read, not copied
  for (const [key, values] of metadata["internalRepr"]) {
    for (const value of values) bytes += key.length + value.length;
  }
  return bytes;
}

// --- identify: which process calls, and for whom ------------------------------------------------------------------

function identifyWorkload({ state, connection }: ServedCall): void {
  const workload = connection && state.route.parts.peers.workloadOf(connection);
  if (workload === undefined) {
    throw meshFailure("CALLER_UNKNOWN", "the calling process does not prove which service it is");
  }
  state.caller = workload;
}

/** A token is always verified when there is one, also where none is needed. */
function identifyUser({ state, metadata }: ServedCall): User | Promise<User> | undefined {
  const [authorization, another] = metadata.get("authorization");
  if (authorization === undefined) return undefined;
  const token = another === undefined ? bearerOf(text(authorization) ?? "") : undefined;
  if (token === undefined) throw tokenInvalid();
  state.token = token;
  return state.route.parts.users.verify(token);
}

function bearerOf(authorization: string): string | undefined {
  if (authorization.startsWith("Bearer ")) return authorization.slice("Bearer ".length);
  return /^bearer +(\S+)$/i.exec(authorization)?.[1];
}

// --- authorize: the contract says who may call; nobody else can ----------------------------------------------------

function authorizeCaller({ state }: ServedCall): void {
  const { info, policy } = state.route.method;
  const decision = authorize(policy.callers, state.caller, state.user);
  state.rule = decision.rule;
  if (decision.allowed) return;
  throw decision.reason === "TOKEN_MISSING"
    ? meshFailure("TOKEN_MISSING", `${info.name} wants a token: send metadata "authorization: Bearer <token>"`)
    : meshFailure("NOT_ALLOWED", `${info.name} is not open to ${state.user?.kind ?? state.caller}`);
}

function makeContext(call: ServedCall): CallContext {
  const { state, endReason } = call;
  // The token may have been verified after the call had ended.
  if (endReason !== undefined) throw endReason;
  const { caller, token, user, trace, deadline, route } = state;
  const method = route.method.info;
  const log = () => route.log.child({ traceId: trace.traceId });
  const clientAddress = () => clientAddressOf(call);
  state.context = new CallContext({ method, deadline, caller, token, user, trace, clientAddress, log });
  return state.context;
}

// --- admit: as many at a time as can be served in time -------------------------------------------------------------

/** Says that a call will soon want a place. It takes none yet; who may not call is in nobody's way. */
function expectRequest({ state }: ServedCall): void {
  if (!state.route.method.responseStream) state.expected = placesFor(state).expect();
}

function admit(call: ServedCall): void {
  const { state } = call;
  const { parts, method, usual } = state.route;
  if (state.expected !== undefined) placesFor(state).arrived(state.expected);
  const place = method.responseStream ? parts.admission.streams.of(principalOf(call)) : placesFor(state);
  state.admittedAtMs = epochMs();
  // A write that comes too late has its effect all the same, and is answered from its record when it is asked again.
  const mayBeVain = method.info.idempotency === "NO_SIDE_EFFECTS" && !method.responseStream;
  if (mayBeVain && state.deadline - state.admittedAtMs < usual.leastMs(state.admittedAtMs)) {
    throw overloaded("it takes longer than its deadline allows now", method.info.service);
  }
  if (!place.tryEnter()) throw overloaded(NO_ROOM, method.info.service);
  state.place = place;
}

function placesFor({ caller, route }: CallState): CallPlaces {
  return placesOf(caller, route.parts.admission.calls);
}

/** Whose share a stream takes: the user's; without one that of the address the gateway names, or of the calling service. */
function principalOf(call: ServedCall): Principal {
  const { caller, user, route } = call.state;
  if (user !== undefined) return { key: user.id, share: MAX_STREAMS_PER_USER };
  return { key: `${caller} ${clientAddressOf(call)}`, share: route.parts.streamsPerClient };
}

/** The gateway alone is believed; it lets nobody outside say so. */
function clientAddressOf({ state, metadata }: ServedCall): string {
  return state.caller === GATEWAY_WORKLOAD ? (text(metadata.get(CLIENT_ADDRESS_KEY)[0]) ?? "") : "";
}

// --- validate: the shape that the contract states, before anything is done ------------------------------------------

/** Streamed requests, each validated as it arrives and read when the handler asks for it. A bad one ends the call. */
async function* validateEach(call: ServedCall): AsyncGenerator<unknown, void> {
  const { route } = call.state;
  for (;;) {
    const bytes = await call.read();
    if (bytes === undefined) return;
    let request: unknown;
    try {
      request = route.read(bytes);
    } catch (error) {
      end(call, toAnswer(route.method, error));
      throw error;
    }
    yield request;
  }
}

// --- handle: the typed handler, and its answer on its way ----------------------------------------------------------

function handle({ state }: ServedCall, request: unknown, context: Call): unknown {
  // The contract's types tie the handler to the method that decoded the request.
  const handler = state.route.handler as (request: unknown, call: Call) => unknown;
  return handler(request, context);
}

function writeOnly(call: ServedCall, response: unknown): void {
  const { route, admittedAtMs } = call.state;
  if (!call.succeed(route.method.encodeResponse(response))) return;
  route.usual.note(epochMs(), admittedAtMs);
  observe(call.state);
}

/** Writes one message after the other, each when the transport has taken the last; stops asking when the call ends. */
async function writeEach(call: ServedCall, responses: unknown): Promise<void> {
  const { info, encodeResponse } = call.state.route.method;
  if (!isAsyncIterable(responses)) throw new TypeError(`the handler of ${info.path} gave no stream`);
  const iterator = responses[Symbol.asyncIterator]();
  let exhausted = false;
  call.onEnd(() => {
    if (!exhausted) iterator.return?.().catch((error: unknown) => logLateFailure(call.state, error));
  });
  for (;;) {
    const next = await iterator.next();
    if (next.done === true) break;
    await call.write(encodeResponse(next.value));
  }
  exhausted = true;
  if (call.succeed()) observe(call.state);
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

// --- map errors, observe: every call ends once, and leaves one line ------------------------------------------------

const events: ServerCallEvents<CallState> = {
  begin: (call) => void serve(call),
  refused: (call, refusal) => end(call, refusalToAnswer(call.state.route.method, refusal)),
  cancelled: abandon,
};

function end(call: ServedCall, answer: Answer): void {
  const { state } = call;
  if (call.fail(answer.failure)) {
    state.context?.abort(answer.failure);
    observe(state, answer);
  } else if (answer.defect !== undefined) {
    logLateFailure(state, answer.defect);
  }
}

function expire(call: ServedCall): void {
  end(call, { failure: deadlineExceeded(call.state.route.method.info.service, false) });
}

/** Ends a call because this process is about to. */
export function interrupt(call: ServedCall): void {
  const { service } = call.state.route.method.info;
  const failure = meshFailure("SERVICE_UNAVAILABLE", "this instance shuts down; ask again", { metadata: { service } });
  end(call, { failure });
}

/** The caller has gone: the work stops, and nobody is answered. */
function abandon(call: ServedCall): void {
  const { state } = call;
  // A caller whose time is up cancels; that may come in a moment before our own timer.
  const expired = epochMs() >= state.deadline - DEADLINE_SLACK_MS;
  const failure = expired
    ? deadlineExceeded(state.route.method.info.service, false)
    : meshFailure("CANCELLED", "the caller gave up");
  call.abandon(failure);
  state.context?.abort(failure);
  observe(state, { failure });
}

/** Called once for every call. */
function observe(state: CallState, answer?: Answer): void {
  state.route.parts.stats.end(answer?.failure);
  logCall(state, answer);
}

function text(value: string | Buffer | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}
