import { Metadata, type StatusObject, status } from "@grpc/grpc-js";
import type { Logger } from "pino";
import { epochMs } from "#mesh/clock.ts";
import { type AttemptPlan, hedge, pause, retry, retryOne } from "#mesh/rpc/attempts.ts";
import { bearerToken, type Call, CLIENT_ADDRESS_KEY } from "#mesh/rpc/call.ts";
import { type CallContext, contextOf } from "#mesh/rpc/call-context.ts";
import type { Channels } from "#mesh/rpc/channels.ts";
import { ClientCall, type Outcome } from "#mesh/rpc/client-call.ts";
import { type Injection, injectedFailure } from "#mesh/rpc/faults.ts";
import type { Method } from "#mesh/rpc/method.ts";
import { isRetryable, type RetryBudgets } from "#mesh/rpc/retry-rules.ts";
import { codeName, deadlineExceeded, decodeFailure } from "#mesh/rpc/status.ts";
import type { Targets } from "#mesh/rpc/targets.ts";
import { formatTraceparent, TRACEPARENT_KEY } from "#mesh/rpc/trace.ts";

/** What the layers need of the process they run in. */
export interface ClientParts {
  readonly log: Logger;
  readonly channels: Channels;
  readonly targets: Targets;
  /** What may be spent on further attempts at a service, by its folder. */
  readonly budgets: RetryBudgets;
}

/** One method as its callers reach it. */
export interface Outlet {
  readonly parts: ClientParts;
  /** The service's folder, by which its instances are found. */
  readonly owner: string;
  readonly method: Method;
}

// The layers of an outgoing call, top to bottom: budget → fault → attempts (mesh/rpc/attempts.ts), each of which is
// route → attempt → observe.

/** Calls a method that is answered once. */
export async function callForOne(outlet: Outlet, input: unknown, call: Call): Promise<unknown> {
  const { method } = outlet;
  const running = begin(outlet, call);
  const injected = outlet.parts.targets.faultsOf(outlet.owner, method.info.path);
  if (injected !== undefined) await inject(running, injected);
  if (method.requestStream) return collect(running, input);

  const request = method.encodeRequest(input);
  const open = (): ClientCall => {
    const attempt = openAttempt(running);
    attempt.sendOnly(request);
    return attempt;
  };
  const { hedgeAfterMs } = method.policy;
  const hedged = hedgeAfterMs !== undefined && outlet.parts.targets.hasOthers(outlet.owner);
  let outcome: Outcome | undefined;
  try {
    outcome = hedged ? await hedge(hedgeAfterMs, running, open) : await open().receiveOnly();
    if (isRetryable(outcome.end.code) && isRepeatable(method)) outcome = await retryOne(outcome, running, open);
  } finally {
    observe(running, outcome?.end);
  }
  return answerOf(method, outcome);
}

/** Calls a method that takes a stream and is answered once. There is one attempt: what was sent is not kept. */
async function collect(running: RunningCall, input: unknown): Promise<unknown> {
  const attempt = openAttempt(running);
  const sending = sendAll(running.outlet.method, attempt, input);
  const outcome = await attempt.receiveOnly();
  observe(running, outcome.end);
  if (sending.failure !== undefined) throw sending.failure;
  return answerOf(running.outlet.method, outcome);
}

// Made here and not where the status came in, so that its stack names who waits for the answer.
function answerOf(method: Method, { message, end }: Outcome): unknown {
  if (end.code !== status.OK) throw decodeFailure(end, method.info.service);
  if (message === undefined) throw decodeFailure(noAnswer, method.info.service);
  return method.decodeResponse(message);
}

/** Calls a method that is answered by a stream: begins when it is first iterated, and is cancelled when it is left. */
export async function* callForStream(outlet: Outlet, input: unknown, call: Call): AsyncGenerator<unknown, void> {
  const { method } = outlet;
  const running = begin(outlet, call);
  const injected = outlet.parts.targets.faultsOf(outlet.owner, method.info.path);
  if (injected !== undefined) await inject(running, injected);

  const request = method.requestStream ? undefined : method.encodeRequest(input);
  let attempt = openAttempt(running);
  let end: StatusObject | undefined;
  let sending: Sending | undefined;
  if (request === undefined) sending = sendAll(method, attempt, input);
  else attempt.sendOnly(request);
  try {
    let received = await attempt.receive();
    // Once a message has come, another attempt would tell the caller the beginning again.
    if (request !== undefined && !Buffer.isBuffer(received) && isRetryable(received.code) && isRepeatable(method)) {
      const again = (): Promise<Buffer | StatusObject> => {
        attempt = openAttempt(running);
        attempt.sendOnly(request);
        return attempt.receive();
      };
      received = await retry(received, { endOf: endOfStream, again, plan: running });
    }
    while (Buffer.isBuffer(received)) {
      yield method.decodeResponse(received);
      received = await attempt.receive();
    }
    end = received;
  } finally {
    attempt.cancel();
    observe(running, end);
  }
  if (sending?.failure !== undefined) throw sending.failure;
  if (end.code !== status.OK) throw decodeFailure(end, method.info.service);
}

function endOfStream(received: Buffer | StatusObject): StatusObject | undefined {
  return Buffer.isBuffer(received) ? undefined : received;
}

// --- budget: no way out for work that nobody waits for any more -----------------------------------------------------

/** A call on its way, and what its attempts have in common. */
interface RunningCall extends AttemptPlan {
  readonly outlet: Outlet;
  readonly call: Call;
  readonly parent: CallContext;
  readonly startedAtMs: number;
  attempts: number;
}

function begin(outlet: Outlet, call: Call): RunningCall {
  const { parts, owner, method } = outlet;
  const startedAtMs = epochMs();
  const deadline = Math.min(call.deadline, startedAtMs + method.policy.deadlineMs);
  const parent = contextOf(call);
  return { outlet, call, parent, startedAtMs, deadline, budget: parts.budgets.of(owner), attempts: 0 };
}

/** Only what the contract says may happen twice is done again. */
function isRepeatable({ policy }: Method): boolean {
  return policy.idempotency !== "UNKNOWN";
}

// --- fault: what an operator wants to go wrong; it comes before all attempts, so that none undoes it ----------------

async function inject(running: RunningCall, { faultIds, delayMs, statusCode }: Injection): Promise<void> {
  const { outlet, call, parent, deadline } = running;
  const { service, name } = outlet.method.info;
  const code = statusCode === undefined ? undefined : codeName(statusCode);
  outlet.parts.log.info(
    { service, method: name, faultIds, delayMs, code, traceId: call.trace.traceId },
    "fault injected",
  );
  const leftMs = Math.max(deadline - epochMs(), 0);
  if (delayMs > 0) await pause(Math.min(delayMs, leftMs), parent);
  if (delayMs >= leftMs) throw deadlineExceeded(service, true);
  if (statusCode !== undefined) throw injectedFailure(statusCode, faultIds, service);
}

// --- route: where the service is ------------------------------------------------------------------------------------

function openAttempt(running: RunningCall): ClientCall {
  const { outlet, call, deadline, parent } = running;
  const { parts, owner, method } = outlet;
  if (deadline <= epochMs()) throw deadlineExceeded(method.info.service, true);
  if (parent.abortReason !== undefined) throw parent.abortReason;
  const { channel, waitForReady } = parts.channels.route(owner, method.requestStream ? "uploads" : "calls");
  const metadata = new Metadata({ waitForReady });
  metadata.set(TRACEPARENT_KEY, formatTraceparent(call.trace));
  if (running.attempts > 0) metadata.set(PREVIOUS_ATTEMPTS_KEY, String(running.attempts));
  const token = call[bearerToken];
  if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
  // A call that was received carries its address no further: nobody would believe it.
  if (call.caller === "" && call.clientAddress !== "") metadata.set(CLIENT_ADDRESS_KEY, call.clientAddress);
  running.attempts += 1;
  return new ClientCall({ channel, path: method.info.path, deadline, metadata, parent });
}

/** How many attempts at the call there were before, as gRPC names it (A6). */
const PREVIOUS_ATTEMPTS_KEY = "grpc-previous-rpc-attempts";

// --- attempt: the request goes out, one message or as many as the caller has ----------------------------------------

/** How the sending of a stream goes, which may still be under way. */
interface Sending {
  /** Why a request could not be made: the caller's own stream failed, or a message is not what its type says. */
  failure: unknown;
}

/** Sends each request when the transport has taken the one before. */
function sendAll(method: Method, attempt: ClientCall, input: unknown): Sending {
  const sending: Sending = { failure: undefined };
  const send = async (): Promise<void> => {
    try {
      // Holds by the types of the client, which are derived from the same definition.
      for await (const request of input as AsyncIterable<unknown>) {
        if (!(await attempt.write(method.encodeRequest(request)))) return; // the loop closes the caller's stream
      }
      attempt.endWrites();
    } catch (error) {
      sending.failure = error;
      attempt.cancel();
    }
  };
  void send();
  return sending;
}

const noAnswer = { code: status.UNKNOWN, details: "the call succeeded without an answer", metadata: new Metadata() };

// --- observe -------------------------------------------------------------------------------------------------------

/** Success pays for later attempts. One line a call for who wants it: the called service writes one anyway. */
function observe({ outlet, call, startedAtMs, budget, attempts }: RunningCall, end: StatusObject | undefined): void {
  const { parts, method } = outlet;
  if (end?.code === status.OK) budget.earn();
  if (!parts.log.isLevelEnabled("debug")) return;
  parts.log.debug(
    {
      service: method.info.service,
      method: method.info.name,
      code: end === undefined ? "CANCELLED" : codeName(end.code),
      attempts,
      durationMs: epochMs() - startedAtMs,
      traceId: call.trace.traceId,
    },
    "outgoing call",
  );
}
