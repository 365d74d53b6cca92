import { describe, expect, test } from "vitest";
import type { Contract, MethodName, MethodPolicy, RequestOf, ResponseOf } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import type { Call, User } from "#mesh/rpc/call.ts";
import { requestFields } from "#testing/descriptors.ts";
import type { TestMesh } from "#testing/mesh.ts";

/** Who sends a request: a service, or an end user behind the gateway. Their request_ids never meet. */
export interface Caller {
  readonly workload: string;
  readonly user?: Partial<User> & { readonly id: string };
}

export const anonymous: Caller = { workload: "gateway" };
export const workload = (name: string): Caller => ({ workload: name });
/** Somebody who is signed in, with these roles. */
export const person = (...roles: readonly string[]): Caller => ({
  workload: "gateway",
  user: { id: newId("usr"), sessionId: newId("ses"), kind: "customer", roles },
});

type Callers = readonly [Caller, Caller] | readonly [Caller];

/** How to show that a method has its effect once. */
export interface OnceCase<Request, Response> {
  /** Two who may send the request; or one, when the contract admits a single service and nobody else. */
  callers(): Callers | Promise<Callers>;
  /** Makes whatever the request of this caller needs, and the request. */
  prepare(caller: Caller, requestId: string): Promise<OnceRequest<Request, Response>>;
  /** What every answer to one request has in common: all of it, unless said otherwise. */
  answer?(response: Response): unknown;
}

export interface OnceRequest<Request, Response> {
  readonly request: Request;
  /** The same id with another body, that could have an effect of its own; not where the id is all that a request has. */
  other?(answer: Response): Request;
  /** Something else that happens after the first, and that a second effect would undo; where two look like one. */
  meanwhile?(): Promise<unknown>;
  /** As much of what is there as tells how often the request, or the other one, has had its effect. */
  effect(): Promise<unknown>;
  /** What `effect` comes to after one. */
  readonly once: unknown;
}

/** The methods that change something and take a request_id. */
type ChangingMethod<C extends Contract> = {
  [M in MethodName<C>]: C["methods"][M]["idempotency"] extends "NO_SIDE_EFFECTS"
    ? never
    : RequestOf<C, M> extends { readonly requestId: string }
      ? M
      : never;
}[MethodName<C>];

/** A case for every method that needs one. `pending` is for those whose handlers are being written. */
export type OnceCases<C extends Contract> = {
  readonly [M in ChangingMethod<C>]: OnceCase<RequestOf<C, M>, ResponseOf<C, M>> | "pending";
};

type AnyCase = OnceCase<{ readonly requestId: string }, unknown>;

/** How many copies of a request come at once. */
const COPIES = 50;
/** Half of what a test may take. */
const TIMEOUT_MS = 30_000;

/**
 * Tests, for every method of a contract that changes something, that a request has its effect once: when it comes
 * again, with another body, fifty times at once, and with the id of another caller. The methods are those of the
 * contract: a new one without a case fails by its name.
 */
export function testOnce<C extends Contract>(contract: C, mesh: () => TestMesh, cases: OnceCases<C>): void {
  const given = new Map<string, AnyCase | "pending">(Object.entries(cases));
  const methods = changingMethods(contract).filter((method) => requestFields(contract, method).includes("request_id"));
  describe.each(methods)(`${contract.name}/%s`, (method) => {
    const found = given.get(method);
    if (found === "pending") {
      test.todo("has its effect once");
    } else if (found === undefined) {
      test("has a case here", () => expect.fail(`${contract.name}/${method} changes something, and has no case`));
    } else {
      testMethod(contract, method, { mesh, oneCase: found });
    }
  });
}

/** The names of the methods that may change something. */
export function changingMethods(contract: Contract): readonly string[] {
  const methods = Object.entries<MethodPolicy>(contract.methods);
  return methods.filter(([, { idempotency }]) => idempotency !== "NO_SIDE_EFFECTS").map(([name]) => name);
}

interface Subject {
  readonly mesh: () => TestMesh;
  readonly oneCase: AnyCase;
}

function testMethod(contract: Contract, method: string, { mesh, oneCase }: Subject): void {
  const send = (caller: Caller, request: unknown) => sendTo(contract, method, { mesh: mesh(), caller, request });
  const common = (response: unknown) => oneCase.answer?.(response) ?? response;
  const prepare = async (caller: Caller, requestId: string) => {
    const one = await oneCase.prepare(caller, requestId);
    expect(one.request.requestId).toBe(requestId);
    expect(await one.effect()).not.toEqual(one.once);
    return one;
  };
  const prepared = async () => {
    const [caller, stranger] = await oneCase.callers();
    const requestId = crypto.randomUUID();
    return { caller, stranger, requestId, one: await prepare(caller, requestId) };
  };

  test("a copy gets the same answer and has no effect, and another body is refused", async () => {
    const { caller, requestId, one } = await prepared();
    const first = await send(caller, one.request);
    expect(await one.effect()).toEqual(one.once);
    await one.meanwhile?.();
    const then = await one.effect();
    const second = await send(caller, one.request);
    expect(common(second)).toEqual(common(first));
    expect(await one.effect()).toEqual(then);
    if (one.other === undefined) {
      expect(requestFields(contract, method)).toEqual(["request_id"]);
      return;
    }
    const other = one.other(second);
    expect(other.requestId).toBe(requestId);
    const refused = await send(caller, other).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "INVALID_ARGUMENT", reason: "REQUEST_ID_REUSED" });
    expect(await one.effect()).toEqual(then);
  });

  test("fifty copies at once have one effect and get one answer", async () => {
    const { caller, one } = await prepared();
    const answers = await Promise.all(Array.from({ length: COPIES }, () => send(caller, one.request)));
    expect(await one.effect()).toEqual(one.once);
    const [first, ...others] = answers.map(common);
    for (const answer of others) expect(answer).toEqual(first);
  });

  test("the same id of another caller is another request", async () => {
    const { caller, stranger, requestId, one } = await prepared();
    if (stranger === undefined) {
      const alone = { anonymous: false, guest: false, customer: false, roles: [], services: [caller.workload] };
      expect(contract.methods[method]?.callers).toEqual(alone);
      return;
    }
    await send(caller, one.request);
    const theirs = await prepare(stranger, requestId);
    await send(stranger, theirs.request);
    expect(await theirs.effect()).toEqual(theirs.once);
  });
}

interface Sending {
  readonly mesh: TestMesh;
  readonly caller: Caller;
  readonly request: unknown;
}

function sendTo(contract: Contract, method: string, { mesh, caller, request }: Sending): Promise<unknown> {
  const node = mesh.mesh(caller.workload);
  const call =
    caller.workload === "gateway"
      ? mesh.call({ user: caller.user, timeoutMs: TIMEOUT_MS })
      : node.background({ name: "once", timeoutMs: TIMEOUT_MS });
  const rpc: unknown = Reflect.get(node.client(contract), method);
  if (typeof rpc !== "function") throw new TypeError(`${contract.name} has no method ${method}`);
  return wholeOf(rpc(request, call satisfies Call));
}

/** The answer; of a method that streams, all its messages. */
async function wholeOf(answer: unknown): Promise<unknown> {
  if (!isStream(answer)) return answer;
  const messages: unknown[] = [];
  for await (const message of answer) messages.push(message);
  return messages;
}

function isStream(answer: unknown): answer is AsyncIterable<unknown> {
  return typeof answer === "object" && answer !== null && Symbol.asyncIterator in answer;
}
