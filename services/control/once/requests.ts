import { createHash } from "node:crypto";
import { meshFailure } from "#mesh/contract/errors.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Fields } from "../files/fields.ts";
import { type Memory, type Remembered, type RequestKey, recall, remember } from "./domain.ts";

/** What came of a request: the state after it, and the answer. */
export interface Effect<State, Response> {
  readonly state: State;
  readonly response: Response;
}

/** A step on a state that remembers what it answered: a copy of a request is given the answer of the first. */
export function once<State extends { readonly memory: Memory }, Response>(
  call: Call,
  request: { readonly requestId: string },
  now: Date,
  effect: (state: State) => Effect<State, Response>,
): (state: State) => { readonly next: State; readonly result: Response } {
  const { method, caller } = call;
  const key: RequestKey = { method: method.path, caller, requestId: request.requestId };
  const requestHash = createHash("sha256").update(method.encodeRequest(request)).digest("hex");
  return (state) => {
    const known = recall(state.memory, key);
    if (known !== undefined) {
      if (known.requestHash !== requestHash) throw reused(key.requestId);
      // These bytes are what encodeResponse of the same method made of a Response.
      return { next: state, result: method.decodeResponse(Buffer.from(known.answer, "base64")) as Response };
    }
    const { state: after, response } = effect(state);
    const answer = Buffer.from(method.encodeResponse(response)).toString("base64");
    const memory = remember(state.memory, { ...key, requestHash, answer, time: now });
    return { next: { ...after, memory }, result: response };
  };
}

export function rememberedOf(fields: Fields): Remembered {
  return {
    method: fields.text("method"),
    caller: fields.text("caller"),
    requestId: fields.text("requestId"),
    requestHash: fields.text("requestHash"),
    answer: fields.text("answer"),
    time: fields.time("time"),
  };
}

function reused(requestId: string): Error {
  return meshFailure("REQUEST_ID_REUSED", "This request_id came before with another request; nothing was done.", {
    metadata: { request_id: requestId },
  });
}
