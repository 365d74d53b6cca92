import { SupervisorService } from "#gen/mesh/supervisor/v1/supervisor_service.contract.ts";
import { failures, meshFailure, type RpcError } from "#mesh/contract/errors.ts";

/** Makes the failures that the contract of the supervisor declares. */
export const fail = failures(SupervisorService);

export function unknownProgram(name: string): RpcError {
  return fail("PROGRAM_UNKNOWN", `there is no service or instance ${name} here`, { name });
}

export function tooMany(what: string, limit: number): RpcError {
  return fail("TOO_MANY_INSTANCES", `there can be ${limit} of ${what} at most`, { limit: String(limit) });
}

export function releaseUnusable(version: string, why: string): RpcError {
  return fail("RELEASE_UNUSABLE", why, { version });
}

/** A version that is asked for and is there: most often nothing was changed since. */
export function runsAlready(service: string, version: string): RpcError {
  return releaseUnusable(
    version,
    `${service} runs ${version} already: change its sources, or give the same build another name with --version`,
  );
}

/** The shop is being stopped: nothing is changed any more. */
export function stopping(): RpcError {
  return meshFailure("SERVICE_UNAVAILABLE", "the shop is being stopped", { metadata: { service: "supervisor" } });
}
