import type { IncomingMessage } from "node:http";

/**
 * Reads the body of a request, which must be known to be short enough. Gives it up after `timeoutMs`, and when the
 * sender goes. Not `for await`: leaving such a loop early destroys the connection, and with it the answer.
 */
export function readBody(request: IncomingMessage, timeoutMs: number): Promise<Buffer | "slow" | "gone"> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const keep = (chunk: Buffer): void => {
      chunks.push(chunk);
    };
    const end = (outcome: Buffer | "slow" | "gone"): void => {
      clearTimeout(timer);
      request.off("data", keep);
      resolve(outcome);
    };
    const timer = setTimeout(() => end("slow"), timeoutMs);
    request.on("data", keep);
    request.once("end", () => end(Buffer.concat(chunks)));
    request.once("close", () => end("gone")); // after "end" it is too late to change anything
    request.on("error", () => undefined); // "close" follows
  });
}
