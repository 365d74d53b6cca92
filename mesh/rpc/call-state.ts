import type { Logger } from "pino";
import { epochMs } from "#mesh/clock.ts";
import type { UntypedHandler } from "#mesh/contract/contract.ts";
import type { UserTokens } from "#mesh/identity/user-tokens.ts";
import type { Admission, CallAdmission, Calls, SharedAdmission } from "#mesh/rpc/admission.ts";
import type { TraceContext, User } from "#mesh/rpc/call.ts";
import type { CallContext } from "#mesh/rpc/call-context.ts";
import type { CallStats } from "#mesh/rpc/call-stats.ts";
import type { Method } from "#mesh/rpc/method.ts";
import type { Peers } from "#mesh/rpc/peers.ts";
import type { RefusalLog } from "#mesh/rpc/refusal-log.ts";
import type { ServerCall } from "#mesh/rpc/server-call.ts";
import type { UsualTime } from "#mesh/rpc/usual-time.ts";
import type { RequestReader } from "#mesh/rpc/validation.ts";

/** What the layers need of the process they run in. */
export interface ServerParts {
  readonly log: Logger;
  /** Tells callers by their connections. */
  readonly peers: Peers;
  readonly users: UserTokens;
  /** Room for calls that are answered once, and for those that may stay open: of these everybody has a share. */
  readonly admission: { readonly calls: CallAdmission; readonly streams: SharedAdmission };
  /** The share in the room for streams of one calling service, or of one address. */
  readonly streamsPerClient: number;
  /** Counts all calls. */
  readonly stats: CallStats;
  /** Counts the calls that found no room. */
  readonly refusals: RefusalLog;
  /** The calls that are worked on now. */
  readonly running: Set<ServedCall>;
}

/** One method that is served. */
export interface Route {
  readonly parts: ServerParts;
  readonly method: Method;
  /** Writes the lines of its calls; knows the method, which so is serialized once. */
  readonly log: Logger;
  readonly handler: UntypedHandler;
  readonly read: RequestReader;
  /** How long its calls take. */
  readonly usual: UsualTime;
}

/** A call on its way through the layers. */
export type ServedCall = ServerCall<CallState>;

/** What the layers have learned of a call. */
export interface CallState {
  readonly route: Route;
  readonly startedAtMs: number;
  deadline: number;
  trace: TraceContext;
  caller: string;
  token: string | undefined;
  user: User | undefined;
  /** The entry of the policy that lets the caller in. */
  rule: string | undefined;
  context: CallContext | undefined;
  /** Those among whom it is expected, until its request is there. */
  expected: Calls | undefined;
  place: Admission | undefined;
  /** When the call took its place. */
  admittedAtMs: number;
}

/** What is known of a call at its begin. */
export function newState(route: Route): CallState {
  return {
    route,
    startedAtMs: epochMs(),
    deadline: 0,
    trace: noTrace,
    caller: "",
    token: undefined,
    user: undefined,
    rule: undefined,
    context: undefined,
    expected: undefined,
    place: undefined,
    admittedAtMs: 0,
  };
}

const noTrace: TraceContext = { traceId: "", spanId: "", flags: 0 };
