import { Metadata, type StatusObject, status } from "@grpc/grpc-js";
import type { Logger } from "pino";
import type { WorkloadIdentity } from "#mesh/identity/workload.ts";
import { bearerToken, type Call } from "#mesh/rpc/call.ts";
import { contextOf, epochMs } from "#mesh/rpc/call-context.ts";
import type { Channels } from "#mesh/rpc/channels.ts";
import { ClientCall } from "#mesh/rpc/client-call.ts";
import type { Method } from "#mesh/rpc/method.ts";
import { codeName, deadlineExceeded, decodeFailure } from "#mesh/rpc/status.ts";
import { formatTraceparent, TRACEPARENT_KEY } from "#mesh/rpc/trace.ts";

/** What the layers need of the process they run in. */
export interface ClientParts {
  readonly log: Logger;
  readonly workloads: WorkloadIdentity;
  readonly channels: Channels;
}

/** One method as its callers reach it. */
export interface Outlet {
  readonly parts: ClientParts;
  /** The service's folder, by which its instances are found. */
  readonly owner: string;
  readonly method: Method;
}

// The layers of an outgoing call, top to bottom: route → attempt → observe. Tries and their budget belong to the
// channel, below `attempt` (mesh/discovery/call-config.ts): what is seen here is the outcome of them all.

/** Calls a method that is answered once. */
export async function callForOne(outlet: Outlet, input: unknown, call: Call): Promise<unknown> {
  const { method } = outlet;
  const startedAtMs = epochMs();
  const attempt = begin(outlet, call);
  const sending = send(outlet, attempt, input);
  const { message, end } = await attempt.receiveOnly();
  observe(outlet, call, startedAtMs, end);
  if (sending.failure !== undefined) throw sending.failure;
  // Made here and not where the status came in, so that its stack names who waits for the answer.
  if (end.code !== status.OK) throw decodeFailure(end, method.info.service);
  if (message === undefined) throw decodeFailure(noAnswer, method.info.service);
  return method.decodeResponse(message);
}

/** Calls a method that is answered by a stream: begins when it is first iterated, and is cancelled when it is left. */
export async function* callForStream(outlet: Outlet, input: unknown, call: Call): AsyncGenerator<unknown, void> {
  const { method } = outlet;
  const startedAtMs = epochMs();
  const attempt = begin(outlet, call);
  const sending = send(outlet, attempt, input);
  let end: StatusObject | undefined;
  try {
    while (end === undefined) {
      const received = await attempt.receive();
      if (Buffer.isBuffer(received)) yield method.decodeResponse(received);
      else end = received;
    }
  } finally {
    attempt.cancel();
    observe(outlet, call, startedAtMs, end);
  }
  if (sending.failure !== undefined) throw sending.failure;
  if (end.code !== status.OK) throw decodeFailure(end, method.info.service);
}

// --- route: where the service is, and no way to it for work that nobody waits for any more --------------------------

function begin({ parts, owner, method }: Outlet, call: Call): ClientCall {
  const now = epochMs();
  const deadline = Math.min(call.deadline, now + method.policy.deadlineMs);
  if (deadline <= now) throw deadlineExceeded(method.info.service, true);
  const parent = contextOf(call);
  if (parent.abortReason !== undefined) throw parent.abortReason;
  const { channel, waitForReady } = parts.channels.route(owner, method.requestStream ? "uploads" : "calls");
  const metadata = new Metadata({ waitForReady });
  parts.workloads.prove(metadata);
  metadata.set(TRACEPARENT_KEY, formatTraceparent(call.trace));
  const token = call[bearerToken];
  if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
  return new ClientCall({ channel, path: method.info.path, deadline, metadata, parent });
}

// --- attempt: the request goes out, one message or as many as the caller has ----------------------------------------

/** How the sending goes, which may still be under way. */
interface Sending {
  /** Why a request could not be made: the caller's own stream failed, or a message is not what its type says. */
  failure: unknown;
}

function send(outlet: Outlet, attempt: ClientCall, input: unknown): Sending {
  const sending: Sending = { failure: undefined };
  if (outlet.method.requestStream) {
    // Holds by the types of the client, which are derived from the same definition.
    void sendAll(outlet, attempt, input as AsyncIterable<unknown>, sending);
  } else {
    sendOne(outlet, attempt, input, sending);
  }
  return sending;
}

function sendOne({ method }: Outlet, attempt: ClientCall, request: unknown, sending: Sending): void {
  try {
    attempt.sendOnly(method.encodeRequest(request));
  } catch (error) {
    sending.failure = error;
    attempt.cancel();
  }
}

/** Sends each request when the transport has taken the one before. Never rejects. */
async function sendAll(
  { method }: Outlet,
  attempt: ClientCall,
  requests: AsyncIterable<unknown>,
  sending: Sending,
): Promise<void> {
  try {
    for await (const request of requests) {
      if (!(await attempt.write(method.encodeRequest(request)))) return; // the loop closes the caller's stream
    }
    attempt.endWrites();
  } catch (error) {
    sending.failure = error;
    attempt.cancel();
  }
}

const noAnswer = { code: status.UNKNOWN, details: "the call succeeded without an answer", metadata: new Metadata() };

// --- observe -------------------------------------------------------------------------------------------------------

/** One line a call for who wants it: the called service writes one anyway. */
function observe({ parts, method }: Outlet, call: Call, startedAtMs: number, end: StatusObject | undefined): void {
  if (!parts.log.isLevelEnabled("debug")) return;
  parts.log.debug(
    {
      service: method.info.service,
      method: method.info.name,
      code: end === undefined ? "CANCELLED" : codeName(end.code),
      durationMs: epochMs() - startedAtMs,
      traceId: call.trace.traceId,
    },
    "outgoing call",
  );
}
