import type { MeshNode } from "#mesh/mesh.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { callFailure } from "./operator-client.ts";

/** One question of a command to the shop. */
export interface Question {
  readonly mesh: MeshNode;
  /** For how long to wait for the answer. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** What is told when it fails, before the reason: `cart can't be scaled`. */
  readonly failing: string;
}

const quickMs = 10_000;

/** Asks, and answers with what came. Throws OperatorError when the call fails. */
export async function ask<T>(
  { mesh, timeoutMs, signal, failing }: Question,
  question: (call: Call) => Promise<T>,
): Promise<T> {
  const call = mesh.background({ name: "command", timeoutMs, signal });
  try {
    return await question(call);
  } catch (error) {
    throw callFailure(failing, error);
  } finally {
    call.done();
  }
}

/** Asks what is answered at once. */
export function askQuickly<T>(mesh: MeshNode, failing: string, question: (call: Call) => Promise<T>): Promise<T> {
  return ask({ mesh, timeoutMs: quickMs, failing }, question);
}
