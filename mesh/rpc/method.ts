import type { Contract, MethodDefinition, MethodPolicy } from "#mesh/contract/contract.ts";
import type { MethodInfo } from "#mesh/rpc/call.ts";

/** One method of a contract, laid out for the pipelines. Made once for each server and client. */
export interface Method {
  readonly info: MethodInfo;
  readonly policy: MethodPolicy;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly decodeRequest: (bytes: Buffer) => unknown;
  readonly encodeRequest: (message: unknown) => Buffer;
  readonly decodeResponse: (bytes: Buffer) => unknown;
  readonly encodeResponse: (message: unknown) => Buffer;
}

/** The methods of a contract under their camelCase names. Throws when definition and policy do not name the same. */
export function methodsOf(contract: Contract): ReadonlyMap<string, Method> {
  const methods = new Map<string, Method>();
  for (const [key, definition] of Object.entries(contract.definition)) {
    const policy = contract.methods[key];
    if (policy === undefined) throw new TypeError(`${contract.name}: ${key} has no policy`);
    methods.set(key, toMethod(contract.name, definition, policy));
  }
  for (const key of Object.keys(contract.methods)) {
    if (!methods.has(key)) throw new TypeError(`${contract.name}: ${key} has a policy but no definition`);
  }
  return methods;
}

function toMethod(service: string, definition: MethodDefinition, policy: MethodPolicy): Method {
  // Both hold because the types of handlers and clients are derived from the same definition: a message that comes
  // to either codec is of the type that it was generated for.
  const encodeRequest = definition.requestSerialize as (message: unknown) => Buffer;
  const encodeResponse = definition.responseSerialize as (message: unknown) => Buffer;
  const { path, requestStream, responseStream, requestDeserialize, responseDeserialize } = definition;
  const info: MethodInfo = {
    service,
    name: path.slice(path.lastIndexOf("/") + 1),
    path,
    idempotency: policy.idempotency,
    encodeRequest,
    encodeResponse,
    decodeResponse: (bytes) => responseDeserialize(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
  };
  return {
    info,
    policy,
    requestStream,
    responseStream,
    decodeRequest: requestDeserialize,
    encodeRequest,
    decodeResponse: responseDeserialize,
    encodeResponse,
  };
}
