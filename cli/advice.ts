import type { RpcError } from "#mesh/contract/errors.ts";

/** What the operator can do about a refusal, by its reason; undefined where its own message says all. */
export function adviceFor({ reason, metadata }: RpcError): string | undefined {
  switch (reason) {
    case "CHANGE_UNDER_WAY":
      return "wait until that is over; shopmesh status shows how it stands";
    case "INSTANCE_FAILED":
      return `shopmesh logs ${metadata.instance ?? ""} says why`.replace("  ", " ");
    case "RELEASE_UNUSABLE":
    case "VERSION_UNKNOWN":
      return "shopmesh status shows the versions that run";
    case "TOO_MANY_RULES":
      return "end some with shopmesh fault --clear";
    case "ROTATION_UNDER_WAY":
      return "shopmesh status shows its steps";
    case "SERVICE_UNAVAILABLE":
      return "shopmesh status shows what runs";
    case "DEADLINE_EXCEEDED":
      return "a change may be under way all the same; shopmesh status shows how it stands";
    default:
      return undefined;
  }
}
