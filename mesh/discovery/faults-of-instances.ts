import { type Metadata, status } from "@grpc/grpc-js";

/** The key of the details that our services send with each failure. */
const DETAILS_KEY = "grpc-status-details-bin";

/**
 * Whether the end of a call speaks against the instance that took it. Answers do not, such as "not found" or "too much at
 * once"; nor does an answer that another service is away or was too slow, since all instances would give it alike. What
 * does: defects, broken connections, and silence up to the deadline.
 */
export function isFault(code: status, metadata: Metadata): boolean {
  switch (code) {
    case status.UNKNOWN:
    case status.INTERNAL:
    case status.DATA_LOSS:
      return true;
    case status.UNAVAILABLE:
    case status.DEADLINE_EXCEEDED:
      return metadata.get(DETAILS_KEY).length === 0;
    default:
      return false;
  }
}
